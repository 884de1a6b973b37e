/** What nobody should read into the figures, in plain words. */
import type { Detector } from "./data.ts";

export function limitsOf(task: string, detector: Detector | null, sameSamples: boolean): string[] {
  const fitted = detector !== null && detector.metadata.detectionSites.length > 0;
  const forced = (detector?.metadata.forced ?? []).length > 0;
  return [
    ...(sameSamples
      ? [
          "Most of the measured samples also made the detector, which flatters it. Samples kept aside tell more.",
        ]
      : []),
    ...(fitted
      ? [
          "A detector recognises the trigger that it was fitted to. It is a hot-fix for a known failure, not a vaccine against others.",
          "An attacker who knows the detector can look for a trigger that it does not flag.",
          "When the inputs drift away from the clean samples that set the thresholds, more of them are flagged. Watch the trigger rate.",
        ]
      : []),
    ...(forced
      ? [
          "What the protected column holds reaches no answer. Other columns that go along with it still do: group gaps shrink, they need not vanish.",
          "Group figures compare answers with the labels of this set. Where the labels are biased themselves, accuracy rewards the bias.",
        ]
      : []),
    "Failures without a place of their own (a pattern blended over a whole picture, a style of writing, a sentence that reads like any other) leave no anomalous column. They cannot be repaired this way.",
    ...(task === "text-classification"
      ? [
          "A single decisive word looks somewhat like a trigger: clean texts that lean on one word are the ones that change.",
        ]
      : []),
    "The repair is exact where the model reads its answer from a classification token. Where it averages over all positions, a flagged position still counts by its own share.",
    "Intervals are Wilson's at 95 % for rates and a seeded bootstrap for fairness figures. They tell of chance in drawing samples, not of samples that are unlike those to come.",
    "Times hold for this machine at that moment; compare the ratio, not the milliseconds.",
  ];
}
