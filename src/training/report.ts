/** The report of a training run as it is kept in the bundle: plain JSON, no times, no names of machines or files. */
import type { Choice } from "./choose.ts";
import type { Verdict } from "./decide.ts";
import type { Evaluation } from "./evaluate.ts";
import type { Calibration } from "./final-fit.ts";
import type { Tried } from "./search-detector.ts";
import { wilson, type Rate } from "./wilson.ts";

export interface TrainingReport {
  readonly [key: string]: unknown;
  readonly verdict: Verdict;
  /** Share of held-out failing samples that the flagged columns explain. */
  readonly explained: number;
  /** Failing samples that the fit went by: those with columns, less those that seem to fail for another reason. */
  readonly consistent: number;
  /** Ids of failing samples that were not answered rightly when held out, twenty at most. */
  readonly unexplained: readonly string[];
  readonly localization: LocalizationReport;
  /** Two-fold cross-validation of the chosen setting: samples that the detector judged without having seen them. */
  readonly held_out: HeldOutReport;
  /** Failing samples that leave their wrong answer when the columns given or found for them are repaired. */
  readonly repairable: Rate;
  /** The same with random columns repaired in place of the flagged ones. */
  readonly control: { readonly repaired: Rate; readonly robust_accuracy: Rate };
  readonly calibration: CalibrationReport;
  /** The whole debug set through the finished detector; most of it was used to make it. */
  readonly self_check: Pick<Evaluation, "target" | "clean" | "failing">;
  readonly search: readonly HeldOutReport[];
}

export interface CalibrationReport {
  readonly n: number;
  readonly wished_false_flag_rate: number;
  /** k / (n + 1) of the conformal rule: bound on the share of new clean samples that are flagged. */
  readonly false_flag_rate: number;
  readonly flag_rate: Rate;
  readonly altered: Rate;
}

/** The report on a detector that was made without failing samples. */
export interface ConformalReport {
  readonly verdict: "conformal";
  readonly calibration: CalibrationReport;
  readonly self_check: TrainingReport["self_check"];
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
  /** Samples without given columns that were left aside, because enough others were searched. */
  readonly set_aside: number;
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
  readonly unexplained: readonly string[];
  readonly localization: LocalizationReport;
  readonly choice: Choice;
  readonly calibration: Calibration;
  readonly alpha: number;
  readonly selfCheck: Evaluation;
}): TrainingReport {
  const { calibration, selfCheck, choice } = parts;
  return {
    verdict: parts.verdict,
    explained: choice.explained,
    consistent: choice.consistent,
    unexplained: parts.unexplained,
    localization: parts.localization,
    held_out: heldOutReport(choice.chosen),
    repairable: wilson(choice.ceiling, choice.chosen.heldOut.failing),
    control: {
      repaired: wilson(choice.control.repaired, choice.control.failing),
      robust_accuracy: wilson(choice.control.correct, choice.control.failing),
    },
    calibration: calibrationReport(calibration, parts.alpha),
    self_check: { target: selfCheck.target, clean: selfCheck.clean, failing: selfCheck.failing },
    search: choice.tried.map(heldOutReport),
  };
}

export function calibrationReport(
  { samples, rank, flagged, altered }: Calibration,
  alpha: number,
): CalibrationReport {
  return {
    n: samples,
    wished_false_flag_rate: alpha,
    false_flag_rate: rank / (samples + 1),
    flag_rate: wilson(flagged, samples),
    altered: wilson(altered, samples),
  };
}
