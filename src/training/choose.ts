/**
 * Chooses the form of a detector by cross-validated repair. To stay quick the search goes in steps: all features and
 * kernels at the first site; two sites only when that leaves failures unrepaired; self-training; then the reference
 * kind, the column threshold and the gate, which need no further fit.
 */
import { judge, meanGateDistance, validate, type HeldOut, type Validation } from "./cross-validate.ts";
import type { Candidate, FitSettings } from "./candidate.ts";
import type { ReferenceKind } from "./detector-tensors.ts";
import { Random } from "./random.ts";
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

export interface Choice {
  /** With the sites that the chosen detector needs. */
  readonly data: TrainingData;
  readonly chosen: Tried;
  /** Held-out counts with random columns repaired in place of the flagged ones. */
  readonly control: HeldOut;
  /** How far the gate of each site is raised above its conformal place, on the logit. */
  readonly gateRaise: readonly number[];
  /** Everything that was tried, in order. */
  readonly tried: readonly Tried[];
}

export interface ChooseOptions extends FitSettings {
  readonly alpha: number;
  /** Called before each step with what is tried. */
  readonly progress?: (what: string) => void;
}

type Form = Pick<Candidate, "features" | "kernel">;

/** From the simplest on: ties go to the earlier one. */
const forms: readonly Form[] = [
  { features: "attention", kernel: 1 },
  { features: "attention", kernel: 3 },
  { features: "value", kernel: 1 },
  { features: "attention+value", kernel: 1 },
  { features: "value", kernel: 3 },
  { features: "attention+value", kernel: 3 },
];
/** The form tried at two sites when one site does not suffice, besides the best one there. */
const richest: Form = { features: "attention+value", kernel: 3 };
/** Share of held-out failing samples whose repair makes further sites unnecessary. */
const enough = 0.9;
/** Shares of samples below which a difference says nothing. */
const tolerance = { repaired: 0.01, correct: 0.04, altered: 0.0025 } as const;

const referenceKinds: readonly ReferenceKind[] = ["benign", "attention-only", "zero"];
const columnShares = [0.99, 0.98, 0.97, 0.95] as const;
const headrooms = [0.1, 0.2, 0.3, 0.4, 0.5] as const;

/** @param widen collects the second site too; null when there is none to try */
export async function chooseDetector(
  first: TrainingData,
  widen: (() => Promise<TrainingData>) | null,
  repairs: Repairs,
  foldOf: Int32Array,
  options: ChooseOptions,
): Promise<Choice> {
  let data = first;
  const tried: Tried[] = [];
  const validations = new Map<Candidate, Validation>();
  const judged = async (setting: Omit<Tried, "heldOut">): Promise<Tried> => {
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
  const attempt = (form: Form, selfTraining: boolean): Promise<Tried> => {
    const candidate = { ...form, sites: data.sites.map(({ site }) => site), selfTraining };
    options.progress?.(describe(candidate));
    return judged({ candidate, reference: "benign", columnShare: columnShares[0], headroom: 0 });
  };

  const plain: Tried[] = [];
  for (const form of forms) plain.push(await attempt(form, false));
  if (widen !== null && shareOf(best(plain).heldOut, "repaired") < enough) {
    data = await widen();
    const { features, kernel } = best(plain).candidate;
    plain.push(await attempt({ features, kernel }, false));
    if (features !== richest.features || kernel !== richest.kernel) plain.push(await attempt(richest, false));
  }
  const form = best(plain);
  data = { ...data, sites: data.sites.filter(({ site }) => form.candidate.sites.includes(site)) };
  const selfTrained = await attempt(form.candidate, true);
  let chosen = best([selfTrained, form]);

  options.progress?.("reference and thresholds");
  const kinds = [chosen];
  for (const reference of referenceKinds.slice(1)) kinds.push(await judged({ ...chosen, reference }));
  chosen = best(kinds);
  for (const columnShare of columnShares.slice(1)) {
    if (chosen.heldOut.repaired === chosen.heldOut.failing) break;
    const lower = await judged({ ...chosen, columnShare });
    if (lower.heldOut.repaired <= chosen.heldOut.repaired || lower.heldOut.correct < chosen.heldOut.correct)
      break;
    chosen = lower;
  }
  let tolerated = 0;
  for (const headroom of headrooms) {
    const raised = await judged({ ...chosen, headroom });
    if (raised.heldOut.repaired < chosen.heldOut.repaired) break;
    tolerated = headroom;
  }
  // Half of what the held-out failures tolerate: as far from losing the next one as from the clean samples.
  const headroom = tolerated / 2;
  chosen = headroom === 0 ? chosen : await judged({ ...chosen, headroom });
  const distance = meanGateDistance(data, validations.get(chosen.candidate) as Validation, options.alpha);
  const control = await judge(data, validations.get(chosen.candidate) as Validation, repairs, {
    alpha: options.alpha,
    ...chosen,
    control: new Random(options.seed, "control"),
  });
  return { data, chosen, control, gateRaise: distance.map((logit) => logit * headroom), tried };
}

/**
 * Most repaired failing samples; among equals (within the tolerance) those with the most right answers, then the fewest
 * altered clean predictions, then the first.
 */
export function best(entries: readonly Tried[]): Tried {
  let kept = entries;
  for (const [count, sign] of criteria) {
    const share = ({ heldOut }: Tried): number => sign * shareOf(heldOut, count);
    const most = Math.max(...kept.map(share));
    // A single sample never decides on right answers and altered predictions, however few there are.
    const single = ({ heldOut }: Tried): number => (count === "repaired" ? 0 : 1 / sizeOf(heldOut, count));
    kept = kept.filter((entry) => share(entry) >= most - Math.max(tolerance[count], single(entry)) - 1e-9);
  }
  return kept[0] as Tried;
}

type Count = "repaired" | "correct" | "flagged" | "altered";

/** What is compared in turn: more is better, or less. */
const criteria: readonly (readonly ["repaired" | "correct" | "altered", 1 | -1])[] = [
  ["repaired", 1],
  ["correct", 1],
  ["altered", -1],
];

/** A held-out count as a share of its set; 0 for an empty set. */
export function shareOf(heldOut: HeldOut, count: Count): number {
  return heldOut[count] / sizeOf(heldOut, count);
}

function sizeOf({ failing, clean }: HeldOut, count: Count): number {
  return Math.max(1, count === "repaired" || count === "correct" ? failing : clean);
}

function describe({ sites, features, kernel, selfTraining }: Candidate): string {
  const where = `site${sites.length > 1 ? "s" : ""} ${sites.join(" and ")}`;
  return `${features} features, kernel ${kernel}, ${where}${selfTraining ? ", self-trained" : ""}`;
}
