/** The first sentence of a report: whether the patch repairs the failure, and at what price. */
import type { Evaluation } from "../training/evaluate.ts";
import type { FullEvaluation } from "../training/full-evaluation.ts";
import type { TableFairness } from "../training/table-fairness.ts";
import { percentText, pointsText } from "./figures.ts";

export interface Verdict {
  readonly tone: "good" | "partial" | "bad" | "neutral";
  readonly sentence: string;
}

/** Share of the attack success above its floor that a patch must take away to repair, and to repair a part. */
const bounds = { repaired: 0.85, partly: 0.15 } as const;
/** Attack success this little above its floor is nothing to repair. */
const noticeable = 0.05;
/** What a patch may cost without being called costly: lost accuracy, changed clean answers. */
const affordable = { accuracy: 0.01, altered: 0.02 } as const;

/** What the figures say of a patch; without one, that there is none. */
export function verdictOf(evaluation: FullEvaluation): Verdict {
  if (evaluation.detector === null) {
    return {
      tone: "neutral",
      sentence: "No detector was measured: these are the figures of the unpatched model.",
    };
  }
  const [attribute] = evaluation.fairness;
  if (attribute) return fairnessVerdict(attribute, evaluation);
  if (evaluation.failing.n === 0) return cleanVerdict(evaluation);
  return attackVerdict(evaluation);
}

/** The verdict on failures for which no detector was made: the first sentence of the refusal. */
export function refusalVerdict(message: string): Verdict {
  const [first = ""] = sentences(message);
  return { tone: "bad", sentence: `${first.charAt(0).toUpperCase()}${first.slice(1)}` };
}

/** The sentences of a message, each with its full stop. */
export function sentences(message: string): string[] {
  return message.split(/(?<=\.) (?=[A-Z])/).map((sentence) => sentence.replace(/\.?$/, "."));
}

/** Share of the attack success above its floor that the patch takes away; null where there is next to none. */
export function repairedShare({ clean, failing }: Pick<Evaluation, "clean" | "failing">): number | null {
  const before = failing.attack_success_unpatched.value;
  const after = failing.attack_success.value;
  if (before === null || after === null) return null;
  const floor = clean.target_rate.value ?? 0;
  return before - floor <= noticeable ? null : (before - Math.max(after, floor)) / (before - floor);
}

function attackVerdict(evaluation: FullEvaluation): Verdict {
  const { failing, clean } = evaluation;
  const share = repairedShare(evaluation);
  const before = percentText(failing.attack_success_unpatched.value);
  const after = percentText(failing.attack_success.value);
  const floor = percentText(clean.target_rate.value);
  const right = percentText(failing.robust_accuracy.value);
  if (share === null) {
    return {
      tone: "neutral",
      sentence: `There is nothing to repair here: the unpatched model gives the wrong answer in question to ${before} of the failing samples and to ${floor} of the clean ones of other classes.`,
    };
  }
  const figures = `success falls from ${before} to ${after} (${floor} is what clean samples of other classes have anyway), ${right} of the failing samples get their right answer, ${priceText(evaluation)}`;
  if (share >= bounds.repaired) {
    const costly = isCostly(evaluation);
    return costly
      ? { tone: "partial", sentence: `The patch ends the attack at a price: ${figures}.` }
      : { tone: "good", sentence: `The patch ends the attack: ${figures}.` };
  }
  if (share >= bounds.partly) {
    return { tone: "partial", sentence: `The patch ends only a part of the attack: ${figures}.` };
  }
  return unrepaired(
    evaluation,
    `with the patch ${after} of the failing samples still get the wrong answer (${before} without it)`,
  );
}

/** Where the true columns are known they tell a detector that misses from a failure that has no columns. */
function unrepaired({ baselines, failing, clean }: FullEvaluation, what: string): Verdict {
  const ceiling = baselines?.find(({ name }) => name === "true columns repaired")?.figures;
  const share =
    ceiling && repairedShare({ clean, failing: { ...failing, attack_success: ceiling.attack_success } });
  if (ceiling && share !== null && share !== undefined && share >= bounds.partly) {
    return {
      tone: "bad",
      sentence: `This detector does not find the failure: ${what}, while repairing the true columns would leave ${percentText(ceiling.attack_success.value)}.`,
    };
  }
  return {
    tone: "bad",
    sentence: `Attention columns do not carry this failure: ${what}.`,
  };
}

function fairnessVerdict(fairness: TableFairness, evaluation: FullEvaluation): Verdict {
  const { attribute, patched, unpatched, aaod_reduction: lower, accuracy_change: change } = fairness;
  const idr = patched.idr?.value ?? null;
  const individual =
    idr === null
      ? null
      : idr === 0
        ? `No answer depends on ${attribute} any more (it decided ${percentText(unpatched.idr?.value ?? null)} of them)`
        : `${percentText(idr)} of the answers still depend on ${attribute} alone (${percentText(unpatched.idr?.value ?? null)} before)`;
  const group = groupText(fairness) ?? priceText(evaluation);
  const better = idr === 0 && (lower ?? 0) >= 0 && (change ?? 0) >= -affordable.accuracy;
  const sentence =
    individual === null ? `${group.charAt(0).toUpperCase()}${group.slice(1)}.` : `${individual}; ${group}.`;
  return { tone: better ? "good" : "partial", sentence };
}

/** "AAOD 77 % lower at −0.1 points accuracy"; null where a group is missing. */
export function groupText({ aaod_reduction: lower, accuracy_change: change }: TableFairness): string | null {
  if (lower === null || change === null) return null;
  return `AAOD ${Math.abs(100 * lower).toFixed(0)} % ${lower >= 0 ? "lower" : "higher"} at ${pointsText(change)} points accuracy`;
}

function cleanVerdict(evaluation: FullEvaluation): Verdict {
  const { clean } = evaluation;
  return {
    tone: isCostly(evaluation) ? "partial" : "neutral",
    sentence: `The set holds no failing samples, so only the price is known: ${percentText(clean.flag_rate.value)} of the clean samples are flagged, ${priceText(evaluation)}.`,
  };
}

function priceText({ clean }: Pick<Evaluation, "clean">): string {
  const change = (clean.accuracy.value ?? 0) - (clean.accuracy_unpatched.value ?? 0);
  return `${percentText(clean.altered.value)} of the clean answers change, clean accuracy ${change === 0 ? "stays" : `changes by ${pointsText(change)} points`}`;
}

function isCostly({ clean }: Pick<Evaluation, "clean">): boolean {
  const lost = (clean.accuracy_unpatched.value ?? 0) - (clean.accuracy.value ?? 0);
  return lost > affordable.accuracy || (clean.altered.value ?? 0) > affordable.altered;
}
