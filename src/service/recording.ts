/** A recorded sample: one answer of the model, with what the detector saw in it. */
import type { RunResult } from "../engine/engine.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import type { Mode } from "../shared/patched-model.ts";
import { columnFeatures } from "../shared/site-report.ts";
import type { Prediction } from "../tasks/task.ts";
import type { FlaggedColumn } from "./columns.ts";

/** Attention features φ of a flagged column at one site, when the run reported them. */
export interface ColumnFeatures {
  readonly site: number;
  readonly column: number;
  /** 11 numbers. */
  readonly values: readonly number[];
}

/** A sample as it is handed to the recorder. */
export interface Recording extends Prediction {
  /** Id of the request, and number of the sample in it. */
  readonly request: string;
  readonly sample: number;
  readonly mode: Mode;
  readonly detector: string | null;
  readonly triggered: boolean;
  readonly columns: readonly Pick<FlaggedColumn, "index" | "score" | "sites" | "at">[];
  readonly features: readonly ColumnFeatures[];
  /** What the caller sent. */
  readonly instance: unknown;
}

/** What an operator says of a sample. */
export interface SampleMark {
  /** failing: the attack worked on it; clean: it is fine as it is. */
  readonly set: "failing" | "clean";
  /** True class. */
  readonly label: number;
  /** Name of the token that marked it. */
  readonly by: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** A sample as it is kept. */
export interface RecordedSample extends Omit<Recording, "instance"> {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The instance as JSON text, or null when it was not kept. */
  readonly instance: Buffer | null;
  /** Equal for equal instances. */
  readonly digest: string | null;
  readonly mark: SampleMark | null;
}

/** Columns of a sample that are kept. */
const mostColumns = 32;

/** The columns that are kept of those that were flagged, without what explains them. */
export function keptColumns(columns: readonly FlaggedColumn[]): Recording["columns"] {
  return columns
    .slice(0, mostColumns)
    .map(({ index, score, sites, at }) => ({ index, score, sites, ...(at && { at }) }));
}

/** φ of the flagged columns of the first key axis, at every site the run reported. */
export function keptFeatures(
  { reports = [] }: Pick<RunResult, "reports">,
  sample: number,
  columns: Recording["columns"],
): ColumnFeatures[] {
  return reports.flatMap((report) =>
    columns
      .filter(({ index }) => index < report.keys)
      .map(({ index: column }) => {
        const features = columnFeatures(report, sample * report.keys + column, 0, attentionFeatureCount);
        return { site: report.site, column, values: Array.from(features) };
      }),
  );
}
