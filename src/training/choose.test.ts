import { describe, expect, it } from "vitest";
import { best } from "./best.ts";
import { decide, explainedShare, isMixed } from "./decide.ts";
import { unseenShare, type Tried } from "./search-detector.ts";

const counts = (repaired: number, correct: number, altered: number) => ({
  failing: 100,
  repaired,
  wrong: [],
  residue: 0,
  correct,
  clean: 400,
  flagged: 8,
  altered,
});
const tried = (name: 1 | 3, repaired: number, correct: number, altered: number): Tried => ({
  candidate: { sites: [0], kernel: name, features: "value", selfTraining: false },
  reference: "benign",
  columnShare: 0.99,
  headroom: 0,
  heldOut: counts(repaired, correct, altered),
});

describe("best", () => {
  it("goes by repaired failures, then right answers, then altered clean predictions, then order", () => {
    const of = (...entries: Tried[]): number => entries.indexOf(best(entries));
    expect(of(tried(1, 90, 90, 0), tried(3, 99, 50, 9))).toBe(1);
    expect(of(tried(1, 99, 80, 0), tried(3, 100, 90, 9))).toBe(1);
    expect(of(tried(1, 99, 88, 4), tried(3, 100, 90, 2))).toBe(1);
    expect(of(tried(1, 99, 88, 2), tried(3, 100, 90, 1))).toBe(0);
  });
});

describe("best of few samples", () => {
  const few = (repaired: number, correct: number, altered: number, residue: number): Tried => ({
    ...tried(1, 0, 0, 0),
    heldOut: { failing: 20, repaired, wrong: [], residue, correct, clean: 100, flagged: 2, altered },
  });

  it("lets no single sample decide, but what is left of the wrong answers", () => {
    const simple = few(20, 18, 1, 0.05);
    expect(best([simple, few(20, 19, 0, 0.05)])).toBe(simple);
    const better = few(20, 20, 0, 0.05);
    expect(best([simple, better])).toBe(better);
    const behind = few(19, 20, 0, 0.05);
    expect(best([behind, better])).toBe(behind);
    const thorough = few(19, 20, 0, 0.03);
    expect(best([better, thorough])).toBe(thorough);
    expect(best([few(18, 20, 0, 0.01), better])).toBe(better);
  });
});

describe("decide", () => {
  it("refuses ordinary errors, asks for partial explanations, goes on with triggers", () => {
    const share = (correct: number, random: number, accuracy: number): number =>
      explainedShare(counts(100, correct, 0), counts(random, random, 0), accuracy);
    expect(share(90, 0, 1)).toBeCloseTo(0.9);
    expect(share(78, 2, 0.8)).toBeCloseTo(0.95);
    expect(share(85, 0, 0.8)).toBe(1);
    expect(share(2, 5, 0.8)).toBe(0);
    expect(["ordinary errors", "partly", "partly", "trigger"]).toEqual([0.14, 0.15, 0.6, 0.61].map(decide));
    expect(explainedShare({ ...counts(0, 0, 0), failing: 0 }, counts(0, 0, 0), 0.8)).toBe(0);
  });
});

describe("isMixed", () => {
  const mixed = (failing: number, correct: number, accuracy: number): boolean =>
    isMixed({ ...counts(correct, correct, 0), failing }, { ...counts(0, 0, 0), failing }, accuracy);

  it("sees a part that fails for another reason, not what chance leaves of a few", () => {
    expect(mixed(100, 60, 1)).toBe(true);
    expect(mixed(20, 12, 1)).toBe(true);
    expect(mixed(100, 56, 0.8)).toBe(true);
    expect(mixed(20, 13, 0.8)).toBe(false);
    expect(mixed(100, 78, 0.8)).toBe(false);
    expect(mixed(100, 14, 1)).toBe(false);
    expect(isMixed({ ...counts(0, 0, 0), failing: 0 }, { ...counts(0, 0, 0), failing: 0 }, 1)).toBe(false);
  });
});

describe("unseenShare", () => {
  it("lets through as many more ordinary columns as failing samples are missing from a hundred", () => {
    const shares = [500, 100, 50, 20, 10].map((failing) => unseenShare(0.99, failing));
    [0.99, 0.99, 0.98, 0.95, 0.9].forEach((share, i) => expect(shares[i]).toBeCloseTo(share, 8));
  });

  it("reaches the share that it names", () => {
    expect(0.95 >= unseenShare(0.99, 20)).toBe(true);
    expect(0.98 >= unseenShare(0.99, 100)).toBe(false);
  });
});
