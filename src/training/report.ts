/** The report of a training run as it is kept in the bundle: plain JSON, no times, no names of machines or files. */
import type { Choice, Tried } from "./choose.ts";
import { explainedShare, type Verdict } from "./decide.ts";
import type { Evaluation } from "./evaluate.ts";
import type { Calibration } from "./final-fit.ts";
import { wilson, type Rate } from "./wilson.ts";

export interface TrainingReport {
  readonly [key: string]: unknown;
  readonly verdict: Verdict;
  /** Share of held-out failing samples that the flagged columns explain. */
  readonly explained: number;
  readonly localization: LocalizationReport;
  /** Two-fold cross-validation of the chosen setting: samples that the detector judged without having seen them. */
  readonly held_out: HeldOutReport;
  /** The same with random columns repaired in place of the flagged ones. */
  readonly control: { readonly repaired: Rate; readonly robust_accuracy: Rate };
  readonly calibration: {
    readonly n: number;
    readonly wished_false_flag_rate: number;
    /** k / (n + 1) of the conformal rule: bound on the share of new clean samples that are flagged. */
    readonly false_flag_rate: number;
    readonly flag_rate: Rate;
    readonly altered: Rate;
  };
  /** The whole debug set through the finished detector; most of it was used to make it. */
  readonly self_check: Pick<Evaluation, "target" | "clean" | "failing">;
  readonly search: readonly HeldOutReport[];
}

/** The report on a patch that repairs protected columns in every sample. */
export interface ProtectionReport {
  readonly verdict: "protected";
  /** Names of the columns that are repaired in every sample. */
  readonly protected: readonly string[];
  /** The whole debug set through the patch. */
  readonly self_check: TrainingReport["self_check"];
}

export interface LocalizationReport {
  readonly failing: number;
  /** Samples of the failing set that the model answers rightly; they were left aside. */
  readonly answered_rightly: number;
  readonly columns_given: number;
  readonly searched: number;
  readonly found: Rate;
  readonly passes: number;
  /** Medians over the samples with found columns. */
  readonly margin_before: number | null;
  readonly margin_after: number | null;
}

export interface HeldOutReport {
  readonly sites: readonly number[];
  readonly features: string;
  readonly kernel: number;
  readonly self_training: boolean;
  readonly reference: string;
  readonly column_quantile: number;
  /** How far the gate lies from its conformal place towards the median failing sample. */
  readonly headroom: number;
  /** Failing samples whose answer left the wrong one, and whose answer became the true class. */
  readonly repaired: Rate;
  readonly robust_accuracy: Rate;
  readonly flag_rate: Rate;
  readonly altered: Rate;
}

export function heldOutReport({
  candidate,
  reference,
  columnShare,
  headroom,
  heldOut,
}: Tried): HeldOutReport {
  return {
    sites: candidate.sites,
    features: candidate.features,
    kernel: candidate.kernel,
    self_training: candidate.selfTraining,
    reference,
    column_quantile: columnShare,
    headroom,
    repaired: wilson(heldOut.repaired, heldOut.failing),
    robust_accuracy: wilson(heldOut.correct, heldOut.failing),
    flag_rate: wilson(heldOut.flagged, heldOut.clean),
    altered: wilson(heldOut.altered, heldOut.clean),
  };
}

export function trainingReport(parts: {
  readonly verdict: Verdict;
  readonly localization: LocalizationReport;
  readonly choice: Choice;
  readonly calibration: Calibration;
  readonly alpha: number;
  readonly selfCheck: Evaluation;
}): TrainingReport {
  const { calibration, selfCheck, choice } = parts;
  const n = calibration.samples;
  return {
    verdict: parts.verdict,
    explained: explainedShare(choice.chosen.heldOut, choice.control),
    localization: parts.localization,
    held_out: heldOutReport(choice.chosen),
    control: {
      repaired: wilson(choice.control.repaired, choice.control.failing),
      robust_accuracy: wilson(choice.control.correct, choice.control.failing),
    },
    calibration: {
      n,
      wished_false_flag_rate: parts.alpha,
      false_flag_rate: calibration.rank / (n + 1),
      flag_rate: wilson(calibration.flagged, n),
      altered: wilson(calibration.altered, n),
    },
    self_check: { target: selfCheck.target, clean: selfCheck.clean, failing: selfCheck.failing },
    search: choice.tried.map(heldOutReport),
  };
}
