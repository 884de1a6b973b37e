/** One line of the study's record: what was made, and what it does to the test set. */

/** A count out of a number. */
export type Count = readonly [hits: number, of: number];

export interface TestCounts {
  /** Failing samples answered with the target, and with their true class. */
  readonly attack: Count;
  readonly right: Count;
  readonly found: Count;
  /** Clean samples flagged, answered otherwise than unpatched, answered rightly patched and unpatched. */
  readonly flagged: Count;
  readonly altered: Count;
  readonly accuracy: Count;
  readonly unpatched: Count;
  /** Clean samples of other classes that the unpatched model answers with the target. */
  readonly floor: Count;
}

export interface StudyRow {
  readonly model: string;
  /** Digest of model and sets: rows of other ones are not taken up again. */
  readonly of: string;
  readonly group: "variant" | "yardstick" | "trigger" | "table";
  readonly variant: string;
  readonly seed: number;
  /** What was chosen, or why nothing was made. */
  readonly form: string;
  readonly test: TestCounts | null;
  /** Other figures, by name. */
  readonly figures?: Readonly<Record<string, number | null>>;
  readonly seconds: number;
}
