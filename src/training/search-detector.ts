/**
 * Searches the form of a detector by cross-validated repair. To stay quick the search goes in steps: all features and
 * kernels at the first site; self-training; reference kind and column threshold, which need no further fit; the same at two
 * sites only when all that leaves failures unrepaired; at last the gate.
 */
import { best } from "./best.ts";
import type { SiteColumns } from "./columns.ts";
import { judge, meanGateDistance, validate, type HeldOut, type Validation } from "./cross-validate.ts";
import type { Candidate, FitSettings } from "./candidate.ts";
import type { ReferenceKind } from "./detector-tensors.ts";
import { usableLabels } from "./labels.ts";
import { ordinarilyRepaired } from "./ordinary.ts";
import type { Repairs } from "./repairs.ts";
import type { TrainingData } from "./training-data.ts";

/** One tried setting with its held-out counts. */
export interface Tried {
  readonly candidate: Candidate;
  readonly reference: ReferenceKind;
  /** Quantile of clean column scores that τ_lo takes. */
  readonly columnShare: number;
  readonly headroom: number;
  readonly heldOut: HeldOut;
}

export interface Search {
  /** With the sites that the chosen detector needs. */
  readonly data: TrainingData;
  readonly chosen: Tried;
  /** Of the chosen candidate. */
  readonly validation: Validation;
  /** Failing samples that leave their wrong answer when the columns that were given or found for them are repaired. */
  readonly ceiling: number;
  /** How far the gate of each site is raised above its conformal place, on the logit. */
  readonly gateRaise: readonly number[];
  /** Everything that was tried, in order. */
  readonly tried: readonly Tried[];
}

export interface SearchOptions extends FitSettings {
  readonly alpha: number;
  /** What to choose from; {@link wholeSpace} when absent. */
  readonly space?: SearchSpace;
  /** Called before each step with what is tried, and how many fits are done of how many at most. */
  readonly progress?: (what: string, done: number, all: number) => void;
}

export type Form = Pick<Candidate, "features" | "kernel">;

/** What the search may choose from; in every list ties go to the earlier entry, and the first one is where it begins. */
export interface SearchSpace {
  /** From the simplest to the richest; the last one is tried at two sites besides the one that is best at one. */
  readonly forms: readonly Form[];
  readonly selfTraining: boolean;
  readonly references: readonly ReferenceKind[];
  /** Quantiles of clean column scores for τ_lo; 1 makes it equal τ_hi. */
  readonly columnShares: readonly number[];
}

export const wholeSpace: SearchSpace = {
  forms: [
    { features: "attention", kernel: 1 },
    { features: "attention", kernel: 3 },
    { features: "value", kernel: 1 },
    { features: "attention+value", kernel: 1 },
    { features: "value", kernel: 3 },
    { features: "attention+value", kernel: 3 },
  ],
  selfTraining: true,
  references: ["benign", "attention-only", "zero"],
  columnShares: [0.99, 0.98, 0.97, 0.95],
};
/** Share of the failing samples that can be repaired whose held-out repair makes further sites unnecessary. */
const enough = 0.95;
/** Change of the probability that the wrong answers keep, from which on it counts. */
const noticeable = 0.002;
/** Probability that the wrong answers keep below which there is nothing left to repair. */
const settled = 0.02;
/** Failing samples from which on what they show is trusted: of repair, of a raised gate, of the columns of a trigger. */
const many = 100;
const headrooms = [0.1, 0.2, 0.3, 0.4, 0.5] as const;

/** @param widen collects the second site; null when there is none to try */
export async function searchDetector(
  first: TrainingData,
  widen: (() => Promise<readonly SiteColumns[]>) | null,
  repairs: Repairs,
  foldOf: Int32Array,
  options: SearchOptions,
): Promise<Search> {
  const { space = wholeSpace } = options;
  const { forms, references, columnShares } = space;
  const ceiling = await repairable(first, repairs, references[0] as ReferenceKind);
  const ordinary = Math.min(ceiling, ordinarilyRepaired(first));
  // Counts of few failing samples are soon above what the next ones give by luck: more is asked of them.
  const asked = ordinary + (ceiling - ordinary) * Math.max(0, 1 - first.failing.length / many);
  const tunings = space.selfTraining ? 1 : 0;
  const most = forms.length + tunings + (widen ? 2 + tunings : 0);
  let fits = 0;
  const tried: Tried[] = [];
  const validations = new Map<Candidate, Validation>();
  const judged = async (data: TrainingData, setting: Omit<Tried, "heldOut">): Promise<Tried> => {
    const validation =
      validations.get(setting.candidate) ?? validate(data, setting.candidate, foldOf, options);
    validations.set(setting.candidate, validation);
    const entry = {
      ...setting,
      heldOut: await judge(data, validation, repairs, { alpha: options.alpha, ...setting }),
    };
    tried.push(entry);
    return entry;
  };
  const attempt = (data: TrainingData, { features, kernel }: Form, selfTraining: boolean): Promise<Tried> => {
    const candidate = { features, kernel, sites: data.sites.map(({ site }) => site), selfTraining };
    options.progress?.(describe(candidate), fits++, most);
    const [reference, columnShare] = [references[0] as ReferenceKind, columnShares[0] as number];
    return judged(data, { candidate, reference, columnShare, headroom: 0 });
  };
  const tuned = async (data: TrainingData, form: Tried): Promise<Tried> => {
    let chosen = space.selfTraining ? best([await attempt(data, form.candidate, true), form]) : form;
    options.progress?.("reference and thresholds", fits, most);
    const kinds = [chosen];
    for (const reference of references.slice(1)) kinds.push(await judged(data, { ...chosen, reference }));
    chosen = best(kinds);
    const unseen = unseenShare(columnShares[0] as number, first.failing.length);
    for (const columnShare of columnShares.slice(1)) {
      const isOwed = columnShare >= unseen && chosen.heldOut.residue > settled;
      // Who flags more than that only pushes predictions about.
      if (!isOwed && chosen.heldOut.repaired >= asked) break;
      const lower = await judged(data, { ...chosen, columnShare });
      const [now, before] = [lower.heldOut, chosen.heldOut];
      if (now.correct < before.correct) break;
      if (!isOwed && now.residue > before.residue - noticeable) break;
      chosen = lower;
    }
    return chosen;
  };

  const plain: Tried[] = [];
  for (const form of forms) plain.push(await attempt(first, form, false));
  let data = first;
  let chosen = await tuned(first, best(plain));
  if (widen !== null && chosen.heldOut.repaired < enough * asked) {
    const wide = { ...first, sites: [...first.sites, ...(await widen())] };
    const { features, kernel } = chosen.candidate;
    const wider = [await attempt(wide, { features, kernel }, false)];
    const richest = forms.at(-1) as Form;
    if (features !== richest.features || kernel !== richest.kernel) {
      wider.push(await attempt(wide, richest, false));
    }
    const other = await tuned(wide, best(wider));
    chosen = best([chosen, other]);
    if (chosen === other) data = wide;
  }

  let tolerated = 0;
  for (const headroom of headrooms) {
    const raised = await judged(data, { ...chosen, headroom });
    const [now, before] = [raised.heldOut, chosen.heldOut];
    if (now.repaired < before.repaired || now.residue > before.residue + noticeable) break;
    tolerated = headroom;
  }
  // Half of what the held-out failures tolerate: as far from losing the next one as from the clean samples. Few failing samples
  // say little about the next one.
  const headroom = (tolerated / 2) * Math.min(1, data.failing.length / many);
  chosen = headroom === 0 ? chosen : await judged(data, { ...chosen, headroom });
  const validation = validations.get(chosen.candidate) as Validation;
  const distance = meanGateDistance(data, validation, options.alpha);
  return { data, chosen, validation, ceiling, gateRaise: distance.map((logit) => logit * headroom), tried };
}

/**
 * Quantile down to which the column threshold is lowered whether or not the held-out counts show a gain: as many times
 * more ordinary columns pass as there are too few failing samples. They show few of the columns that a trigger touches, and
 * the held-out ones are too few to tell what is missed. In a sample whose gate has opened an ordinary column costs little.
 */
export function unseenShare(strictest: number, failing: number): number {
  return 1 - ((1 - strictest) * many) / Math.min(many, Math.max(1, failing)) - 1e-9;
}

/** Number of failing samples that leave their wrong answer when the columns that were given or found are repaired. */
async function repairable(data: TrainingData, repairs: Repairs, kind: ReferenceKind): Promise<number> {
  const known = usableLabels(data, data.failing).map(({ sample, positive }) => ({
    sample,
    columns: positive,
  }));
  const predictions = await repairs.predictions(kind, known);
  return known.filter(({ sample }, i) => predictions[i] !== data.answers[sample]).length;
}

function describe({ sites, features, kernel, selfTraining }: Candidate): string {
  const where = `site${sites.length > 1 ? "s" : ""} ${sites.join(" and ")}`;
  return `${features} features, kernel ${kernel}, ${where}${selfTraining ? ", self-trained" : ""}`;
}
