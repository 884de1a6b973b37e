/**
 * Chooses the form of a detector by cross-validated repair. To stay quick the search goes in steps: all features and
 * kernels at the first site; two sites only when that leaves failures unrepaired; then the reference kind and the column
 * threshold, which need no further fit.
 */
import type { Candidate } from "./candidate.ts";
import { judge, validate, type HeldOut, type Validation } from "./cross-validate.ts";
import type { ReferenceKind } from "./detector-tensors.ts";
import type { Repairs } from "./repairs.ts";
import type { TrainingData } from "./training-data.ts";

/** One tried setting with its held-out counts. */
export interface Tried {
  readonly candidate: Candidate;
  readonly reference: ReferenceKind;
  /** Quantile of clean column scores that τ_lo takes. */
  readonly columnShare: number;
  readonly heldOut: HeldOut;
}

export interface Choice {
  /** With the sites that the chosen detector needs. */
  readonly data: TrainingData;
  readonly chosen: Tried;
  /** Everything that was tried, in order. */
  readonly tried: readonly Tried[];
}

export interface ChooseOptions {
  readonly alpha: number;
  readonly seed: number;
  /** Called before each step with what is tried. */
  readonly progress?: (what: string) => void;
}

/** From the simplest on: ties go to the earlier one. */
const forms: readonly Pick<Candidate, "features" | "kernel">[] = [
  { features: "attention", kernel: 1 },
  { features: "attention", kernel: 3 },
  { features: "value", kernel: 1 },
  { features: "attention+value", kernel: 1 },
  { features: "value", kernel: 3 },
  { features: "attention+value", kernel: 3 },
];
/** The form tried at two sites when one site does not suffice, besides the best one there. */
const richest: Pick<Candidate, "features" | "kernel"> = { features: "attention+value", kernel: 3 };
/** Share of held-out failing samples whose repair makes further sites unnecessary. */
const enough = 0.9;
/** Shares of samples below which a difference says nothing. */
const tolerance = { repaired: 0.01, correct: 0.04, altered: 0.0025 };

const referenceKinds: readonly ReferenceKind[] = ["benign", "attention-only", "zero"];
const columnShares = [0.99, 0.98, 0.97, 0.95] as const;

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
  const validations = new Map<Tried, Validation>();
  const attempt = async (candidate: Candidate): Promise<Tried> => {
    options.progress?.(describe(candidate));
    const validation = validate(data, candidate, foldOf, options.seed);
    const entry = await judged(validation, "benign", columnShares[0]);
    validations.set(entry, validation);
    return entry;
  };
  const judged = async (
    validation: Validation,
    reference: ReferenceKind,
    columnShare: number,
  ): Promise<Tried> => {
    const setting = { alpha: options.alpha, reference, columnShare };
    const heldOut = await judge(data, validation, repairs, setting);
    const entry = { candidate: validation.candidate, reference, columnShare, heldOut };
    tried.push(entry);
    return entry;
  };

  const entries: Tried[] = [];
  for (const form of forms) entries.push(await attempt({ ...form, sites: sitesOf(data) }));
  if (widen !== null && shareOf(best(entries).heldOut, "repaired") < enough) {
    data = await widen();
    const { features, kernel } = best(entries).candidate;
    const more =
      features === richest.features && kernel === richest.kernel
        ? [richest]
        : [{ features, kernel }, richest];
    for (const form of more) entries.push(await attempt({ ...form, sites: sitesOf(data) }));
  }
  const form = best(entries);
  const validation = validations.get(form) as Validation;

  options.progress?.("reference kinds and column thresholds");
  const kinds = [form];
  for (const kind of referenceKinds.slice(1)) kinds.push(await judged(validation, kind, form.columnShare));
  let chosen = best(kinds);
  for (const columnShare of columnShares.slice(1)) {
    if (chosen.heldOut.repaired === chosen.heldOut.failing) break;
    const lower = await judged(validation, chosen.reference, columnShare);
    const helps =
      lower.heldOut.repaired > chosen.heldOut.repaired && lower.heldOut.correct >= chosen.heldOut.correct;
    if (!helps) break;
    chosen = lower;
  }
  return { data, chosen, tried };
}

function sitesOf(data: TrainingData): number[] {
  return data.sites.map(({ site }) => site);
}

/**
 * Most repaired failing samples; among equals (within the tolerance) those with the most right answers, then the fewest
 * altered clean predictions, then the first.
 */
export function best(entries: readonly Tried[]): Tried {
  const within = (
    kept: readonly Tried[],
    share: (heldOut: HeldOut) => number,
    slack: number,
  ): readonly Tried[] => {
    const most = Math.max(...kept.map(({ heldOut }) => share(heldOut)));
    return kept.filter(({ heldOut }) => share(heldOut) >= most - slack);
  };
  const repaired = within(entries, (counts) => shareOf(counts, "repaired"), tolerance.repaired + 1e-9);
  const correct = within(repaired, (counts) => shareOf(counts, "correct"), tolerance.correct + 1e-9);
  const unaltered = within(correct, (counts) => -shareOf(counts, "altered"), tolerance.altered + 1e-9);
  return unaltered[0] as Tried;
}

/** A held-out count as a share of its set; 0 for an empty set. */
export function shareOf(heldOut: HeldOut, count: "repaired" | "correct" | "flagged" | "altered"): number {
  const of = count === "repaired" || count === "correct" ? heldOut.failing : heldOut.clean;
  return of === 0 ? 0 : heldOut[count] / of;
}

function describe({ sites, features, kernel }: Candidate): string {
  return `${features} features, kernel ${kernel}, site${sites.length > 1 ? "s" : ""} ${sites.join(" and ")}`;
}
