/** Turns what users send into tensors, and what the model and the detector answer into words. */
import type { Tensor } from "../shared/tensor.ts";

export type TaskKind = "text-classification" | "image-classification" | "tabular-classification" | "tensor";

/** Where a key column is in the sample the user sent. */
export type ColumnPlace =
  | {
      readonly patch: readonly [row: number, column: number];
      readonly box: readonly [x: number, y: number, width: number, height: number];
    }
  | { readonly token: string; readonly start: number; readonly end: number }
  | { readonly feature: string };

/** Instances turned into model inputs. */
export interface Prepared {
  readonly batch: number;
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Place of key column `column` of sample `sample`, or null when it stands for nothing the user sent ([CLS], padding). */
  locate(sample: number, column: number): ColumnPlace | null;
}

/** A class with its probability. */
export interface Prediction {
  readonly label: string;
  readonly index: number;
  readonly score: number;
  /** The `topK` most probable labels, best first. */
  readonly probabilities: Readonly<Record<string, number>>;
}

export interface Task {
  readonly kind: TaskKind;
  readonly labels: readonly string[];
  /** Instances the model takes at once when its graph fixes them, or null. */
  readonly batch: number | null;
  /**
   * @throws AtPatchError ATPATCH_BAD_INPUT or ATPATCH_UNPROCESSABLE, naming the sample ("instances[3]: …")
   */
  prepare(instances: readonly unknown[]): Promise<Prepared>;
  /** Predictions of every sample from the model's outputs. */
  predict(outputs: Readonly<Record<string, Tensor>>, batch: number, topK: number): Prediction[];
  /** Raw scores per sample: [B][classes], for training and evaluation. */
  logits(outputs: Readonly<Record<string, Tensor>>, batch: number): Float32Array[];
  /** The instance without what those columns stand for; absent or null where that makes no sense. */
  erase?(instance: unknown, places: readonly ColumnPlace[]): Promise<unknown>;
  /** How key columns are arranged, for localisation: a grid of patches or a sequence. */
  readonly layout: KeyLayout;
}

/** An attribute that a table's answers should not lean on. */
export interface ProtectedAttribute {
  readonly name: string;
  isPrivileged(instance: unknown): boolean;
  /** Values to compare a person's answers over; empty when the folder names none. */
  readonly values: readonly (string | number)[];
  /** The same instance with another value of the attribute. */
  withValue(instance: unknown, value: unknown): unknown;
}

/** Arrangement of the key columns behind `firstKey`. */
export type KeyLayout =
  | { readonly kind: "grid"; readonly firstKey: number; readonly rows: number; readonly columns: number }
  | { readonly kind: "sequence"; readonly firstKey: number }
  | {
      readonly kind: "features";
      readonly firstKey: number;
      readonly names: readonly string[];
      /** Key positions of protected attributes, rising. */
      readonly protected: readonly number[];
    };
