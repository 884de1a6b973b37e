import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { scoreModel } from "../hotfix/score-model.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import { tinyBundle, tinyTokens, tinyWidth } from "../test/tiny-model.ts";
import type { ScoredSite } from "./score.ts";
import { ShadowScorer } from "./shadow-scorer.ts";

// Starting a thread takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

/** One sample; its token 3 carries a mark. */
function report(mark: number, samples = 1): ScoredSite {
  const columns = samples * tinyTokens;
  const values = new Float32Array(columns * tinyWidth);
  values[3 * tinyWidth] = mark;
  return {
    site: 0,
    keys: tinyTokens,
    windows: 1,
    features: new Float32Array(columns * attentionFeatureCount),
    values,
    visible: new Float32Array(columns).fill(1),
  };
}

describe("ShadowScorer", () => {
  let scorer: ShadowScorer;
  const { id, tensors } = tinyBundle({ threshold: 5 });
  beforeEach(() => {
    scorer = new ShadowScorer(scoreModel());
    scorer.publish(id, tensors);
  });
  afterEach(() => scorer.close());
  const score = (mark: number, owned = false, detector = id) =>
    scorer.score({ detector, batch: 1, reports: [report(mark)], owned });

  it("says per sample whether the detector would have triggered", async () => {
    expect(await Promise.all([score(6), score(4), score(6, true)])).toEqual([[true], [false], [true]]);
    const both = report(6, 2);
    expect(await scorer.score({ detector: id, batch: 2, reports: [both], owned: false })).toEqual([
      true,
      false,
    ]);
    // Copied, not moved.
    expect(both.values.length).toBe(2 * tinyTokens * tinyWidth);
  });

  it("drops what it has no detector for, and knows one as long as somebody has it published", async () => {
    expect(await score(6, false, "sha256-0")).toBeNull();
    scorer.publish(id, tensors);
    scorer.retire(id);
    expect(await score(6)).toEqual([true]);
    scorer.retire(id);
    scorer.retire(id);
    expect(await score(6)).toBeNull();
  });

  it("drops runs rather than let them pile up, and takes new ones afterwards", async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => score(6)));
    const dropped = answers.filter((answer) => answer === null).length;
    expect(dropped).toBe(200 - 64);
    expect(await score(6)).toEqual([true]);
  });

  it("leaves nobody waiting when it closes", async () => {
    const waiting = score(6);
    await scorer.close();
    expect(await waiting).toBeNull();
    expect(await score(6)).toBeNull();
  });
});
