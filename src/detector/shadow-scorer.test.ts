import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { scoreModel } from "../hotfix/score-model.ts";
import { attentionFeatureCount, placeFeatures } from "../shared/detector-tensors.ts";
import { columnFeatures, isVisible, type SiteReport } from "../shared/site-report.ts";
import { tinyBundle, tinyTokens, tinyWidth } from "../test/tiny-model.ts";
import { ShadowScorer } from "./shadow-scorer.ts";

// Starting a thread takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

/** Samples whose keys are all visible; token 3 of the first one carries a mark. */
function report(mark: number, samples = 1, keys = tinyTokens): SiteReport {
  const width = attentionFeatureCount + tinyWidth;
  const features = new Float32Array(samples * width * keys);
  for (let sample = 0; sample < samples; sample++) {
    const from = (sample * width + placeFeatures[2]) * keys;
    features.fill(1, from, from + keys);
  }
  features[attentionFeatureCount * keys + 3] = mark;
  return { site: 0, keys, windows: 1, width, features };
}

/** The same from a site that detects in the pointwise form. */
function byKey(whole: SiteReport): SiteReport {
  const columns = whole.features.length / whole.width;
  const rows = Array.from({ length: columns }, (_, column) => [
    ...columnFeatures(whole, column, attentionFeatureCount),
  ]);
  const largest = Float32Array.from({ length: columns }, (_, column) => Number(isVisible(whole, column)) / 2);
  return { ...whole, features: Float32Array.from(rows.flat()), largest };
}

describe("ShadowScorer", () => {
  let scorer: ShadowScorer;
  const { id, tensors } = tinyBundle({ threshold: 5 });
  beforeEach(() => {
    scorer = new ShadowScorer(scoreModel());
    scorer.publish(id, tensors);
  });
  afterEach(() => scorer.close());
  const score = (mark: number, detector = id) =>
    scorer.score({ detector, batch: 1, reports: [report(mark)] });

  it("says per sample whether the detector would have triggered", async () => {
    expect(await Promise.all([score(6), score(4), score(6)])).toEqual([[true], [false], [true]]);
    const both = report(6, 2);
    expect(await scorer.score({ detector: id, batch: 2, reports: [both] })).toEqual([true, false]);
    // Copied, not moved.
    expect(both.features.length).toBe(2 * (attentionFeatureCount + tinyWidth) * tinyTokens);
  });

  it("gives every run its own answers when runs of several sizes and lengths are scored together", async () => {
    const runs = [...Array(60).keys()].map((run) => {
      const [samples, keys] = [1 + (run % 3), tinyTokens + (run % 2)];
      const marked = run % 5 === 0;
      const whole = report(marked ? 6 : 4, samples, keys);
      const scored = scorer.score({
        detector: id,
        batch: samples,
        reports: [run % 3 === 0 ? byKey(whole) : whole],
      });
      return { scored, expected: [marked, ...Array<boolean>(samples - 1).fill(false)] };
    });
    for (const { scored, expected } of runs) expect(await scored).toEqual(expected);
  });

  it("drops what it has no detector for, and knows one as long as somebody has it published", async () => {
    expect(await score(6, "sha256-0")).toBeNull();
    scorer.publish(id, tensors);
    scorer.retire(id);
    expect(await score(6)).toEqual([true]);
    scorer.retire(id);
    scorer.retire(id);
    expect(await score(6)).toBeNull();
  });

  it("drops runs rather than let them pile up, and takes new ones afterwards", async () => {
    const answers = await Promise.all(Array.from({ length: 600 }, () => score(6)));
    const dropped = answers.filter((answer) => answer === null).length;
    expect(dropped).toBe(600 - 256);
    expect(await score(6)).toEqual([true]);
  });

  it("leaves nobody waiting when it closes", async () => {
    const waiting = score(6);
    await scorer.close();
    expect(await waiting).toBeNull();
    expect(await score(6)).toBeNull();
  });
});
