import type { StudyRow } from "./study-row.ts";

/** What a study of a model needs to know of its surroundings. */
export interface StudyContext {
  readonly name: string;
  readonly seeds: readonly number[];
  readonly quick: boolean;
  /** Whether the variant was asked for. */
  readonly wants: (variant: string) => boolean;
  /** Whether the row is there already. */
  readonly has: (group: StudyRow["group"], variant: string, seed: number) => boolean;
  readonly record: (row: Omit<StudyRow, "model" | "of">) => void;
}
