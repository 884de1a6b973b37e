import { describe, expect, it } from "vitest";
import { evaluationData } from "../test/report-data.ts";
import { wilson } from "../training/wilson.ts";
import type { FullEvaluation } from "../training/full-evaluation.ts";
import { refusalVerdict, verdictOf } from "./verdict.ts";

const base = evaluationData("x");

function attacked(success: number, change: Partial<FullEvaluation> = {}): FullEvaluation {
  return { ...base, failing: { ...base.failing, attack_success: wilson(success, 100) }, ...change };
}

describe("verdict", () => {
  it("says that the attack ends, with the price", () => {
    expect(verdictOf(base)).toEqual({
      tone: "good",
      sentence:
        "The patch ends the attack: success falls from 100.0 % to 2.0 % (1.0 % is what clean samples of other classes have anyway), 88.0 % of the failing samples get their right answer, 0.0 % of the clean answers change, clean accuracy stays.",
    });
    const clean = { ...base.clean, altered: wilson(9, 100), accuracy: wilson(85, 100) };
    expect(verdictOf({ ...base, clean })).toMatchObject({
      tone: "partial",
      sentence: expect.stringMatching(/at a price: .*9\.0 % .*changes by −5\.0 points\.$/) as string,
    });
  });

  it("grades by the share of the attack above its floor", () => {
    expect(verdictOf(attacked(50)).sentence).toMatch(/^The patch ends only a part of the attack: /);
    expect(verdictOf(attacked(98))).toMatchObject({
      tone: "bad",
      sentence: expect.stringMatching(/^Attention columns do not carry this failure: /) as string,
    });
  });

  it("blames the detector where the true columns would have done", () => {
    const figures = {
      attack_success: wilson(1, 100),
      robust_accuracy: wilson(90, 100),
      clean_accuracy: wilson(90, 100),
      altered: wilson(0, 100),
    };
    const baselines = [{ name: "true columns repaired", figures, why: null }];
    expect(verdictOf(attacked(98, { baselines })).sentence).toMatch(
      /^This detector does not find the failure: /,
    );
  });

  it("claims nothing without a detector, without failing samples or without an attack", () => {
    expect(verdictOf({ ...base, detector: null }).tone).toBe("neutral");
    expect(verdictOf({ ...base, failing: { ...base.failing, n: 0 } }).sentence).toMatch(
      /only the price is known/,
    );
    const calm = { ...base.failing, attack_success_unpatched: wilson(3, 100) };
    expect(verdictOf({ ...base, failing: calm }).sentence).toMatch(/^There is nothing to repair here/);
  });

  it("opens a refused report with the first sentence of the refusal", () => {
    expect(refusalVerdict("attention columns do not carry this: 2.5 % at most. Retrain")).toEqual({
      tone: "bad",
      sentence: "Attention columns do not carry this: 2.5 % at most.",
    });
  });
});
