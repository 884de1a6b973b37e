/**
 * Chooses the form of a detector, and says how much of the failing set it explains. A set may hold failures of several
 * kinds, whose columns only confuse the fit: when a good part stays wrong, the search is made once more with the samples that
 * were repaired, and judged on all of them.
 */
import type { SiteColumns } from "./columns.ts";
import { judge, validate, type HeldOut } from "./cross-validate.ts";
import { explainedShare, isMixed } from "./decide.ts";
import { Random } from "./random.ts";
import type { Repairs } from "./repairs.ts";
import { searchDetector, type Search, type SearchOptions } from "./search-detector.ts";
import type { TrainingData } from "./training-data.ts";

export interface Choice extends Search {
  /** Held-out counts with random columns repaired in place of the flagged ones. */
  readonly control: HeldOut;
  /** Share of the failing samples that the flagged columns explain. */
  readonly explained: number;
  /** Failing samples that the fit goes by; fewer than there are when the others seem to fail for another reason. */
  readonly consistent: number;
}

/** Fewest samples that a second search goes by. */
const fewest = 8;
/** How much less the second search may explain: what differs by chance. */
const slack = 0.02;

export async function chooseDetector(
  first: TrainingData,
  widen: (() => Promise<readonly SiteColumns[]>) | null,
  repairs: Repairs,
  foldOf: Int32Array,
  options: SearchOptions,
): Promise<Choice> {
  let second: Promise<readonly SiteColumns[]> | undefined;
  const widenOnce = widen && (() => (second ??= widen()));
  const explain = async (search: Search): Promise<Choice> => {
    const { data, chosen, validation } = search;
    const setting = { alpha: options.alpha, ...chosen };
    const heldOut = await judge(data, validation, repairs, setting);
    const random = new Random(options.seed, "control");
    const control = await judge(data, validation, repairs, { ...setting, control: random });
    return {
      ...search,
      chosen: { ...chosen, heldOut },
      control,
      explained: explainedShare(heldOut, control, accuracyOf(data)),
      consistent: data.labels.size,
    };
  };
  const whole = await explain(await searchDetector(first, widenOnce, repairs, foldOf, options));
  const { wrong } = whole.chosen.heldOut;
  const failing = first.failing.filter((sample) => !wrong.includes(sample));
  if (!isMixed(whole.chosen.heldOut, whole.control, accuracyOf(first)) || failing.length < fewest)
    return whole;

  const labels = new Map([...first.labels].filter(([sample]) => failing.includes(sample)));
  const search = await searchDetector({ ...first, failing, labels }, widenOnce, repairs, foldOf, options);
  const data = { ...search.data, failing: first.failing };
  const validation = validate(data, search.chosen.candidate, foldOf, options);
  const part = await explain({ ...search, data, validation });
  const better = part.explained >= whole.explained - slack ? part : whole;
  return { ...better, ceiling: whole.ceiling, tried: [...whole.tried, ...part.tried] };
}

/** Share of the clean samples that the unpatched model answers rightly. */
function accuracyOf({ clean, answers, samples }: TrainingData): number {
  const right = clean.filter((sample) => answers[sample] === samples[sample]?.label).length;
  return right / Math.max(1, clean.length);
}
