/** Makes the detector of a variant, and judges it. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { chooseForFailures, fitChosen } from "../training/fit-detector.ts";
import type { Gathered } from "../training/gather.ts";
import { judgeSamples, type Judged } from "../training/judged.ts";
import type { ModelRuns } from "../training/model-runs.ts";
import type { PublishedReferences } from "../training/references.ts";
import { checkGathered } from "../training/refusals.ts";
import type { Repairs } from "../training/repairs.ts";
import type { Form } from "../training/search-detector.ts";
import { defaultSteps } from "../training/train.ts";
import { spaceOf, type Variant } from "./study-variants.ts";

/** Settings that `train` has by default. */
export const usual = { alpha: 0.02, maxAltered: 0.005, steps: defaultSteps, progress: () => {} };

/** The debug set of a model, gathered once for all variants. */
export interface Workshop {
  readonly runs: ModelRuns;
  readonly gathered: Gathered;
  readonly published: PublishedReferences;
  readonly repairs: Repairs;
}

export interface Made {
  /** What was chosen, or why nothing was. */
  readonly form: string;
  readonly chosen: Form | null;
  readonly tensors: DetectorTensors | null;
}

/** @param form that the default has chosen, for variants that keep it */
export async function makeDetector(
  { runs, published, repairs }: Workshop,
  gathered: Pick<Gathered, "data" | "secondSite">,
  variant: Variant,
  seed: number,
  form: Form | null,
): Promise<Made> {
  try {
    checkGathered({ data: gathered.data, localization: { answered_rightly: 0 } });
  } catch (error) {
    const [why] = (error as Error).message.split(":");
    return { form: `refused: ${why}`, chosen: null, tensors: null };
  }
  const options = { ...usual, seed, space: spaceOf(variant, form) };
  const { choice, verdict } = await chooseForFailures(runs, gathered, repairs, options);
  const { candidate, reference } = choice.chosen;
  const sites = candidate.sites.join(" ");
  const words = `${candidate.features}, kernel ${candidate.kernel}, sites ${sites}, ${reference}; ${verdict}`;
  if (verdict === "ordinary errors") return { form: `refused: ${words}`, chosen: candidate, tensors: null };
  const { tensors } = await fitChosen(choice, published, repairs, options);
  return { form: words, chosen: candidate, tensors };
}

/** A test set without and with the detector. */
export async function judgeDetector(runs: ModelRuns, tensors: DetectorTensors): Promise<Judged[]> {
  await runs.engine.publish("studied", tensors);
  try {
    return await judgeSamples(runs, "studied", () => {});
  } finally {
    await runs.engine.retire("studied");
  }
}
