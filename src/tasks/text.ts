/** Text classifiers: strings in, predictions out, key columns as tokens with their characters. */
import { AtPatchError } from "../shared/errors.ts";
import { describeJson } from "../shared/json-element.ts";
import { datatypes, type NumericDatatype, type Tensor, type TensorInfo } from "../shared/tensor.ts";
import { batchedInput, checkInstances, fixedBatch, type BatchedInput } from "./batch.ts";
import type { ClassScores } from "./class-scores.ts";
import { eraseTokens } from "./erase.ts";
import type { ColumnPlace, Prepared, Task } from "./task.ts";
import type { EncodedText, TextTokenizer } from "./tokenizer.ts";

export interface TextTaskOptions {
  readonly inputs: readonly TensorInfo[];
  readonly tokenizer: TextTokenizer;
  readonly scores: ClassScores;
  /** Positions the model has; the tokenizer's own limit and a fixed input length also count. */
  readonly maxLength: number | null;
  /** Key position of the first token of the text; by default behind the special tokens in front. */
  readonly firstKey?: number | undefined;
  readonly instanceLimit?: number | undefined;
}

/** Tokens a text is cut to when no file says how many fit. */
const defaultMaxLength = 512;
/** Characters of a text: far above what any model takes, but no work without bound. */
const characterLimit = 1_000_000;

/** A text in one row of the inputs. */
interface Row {
  readonly encoded: EncodedText;
  /** Padding in front. */
  readonly offset: number;
}

/** What each input holds at one position of a row; `index` counts the row's tokens, null is padding. */
const fillings: Readonly<Record<string, (row: Row, index: number | null, padId: number) => number>> = {
  input_ids: ({ encoded }, index, padId) => (index === null ? padId : encoded.ids[index]!),
  attention_mask: (_, index) => (index === null ? 0 : 1),
  token_type_ids: ({ encoded }, index) => (index === null ? 0 : encoded.typeIds[index]!),
  // Padding has position 1, as Hugging Face fills it.
  position_ids: (_, index) => index ?? 1,
};

/** Whether a model's inputs are those of a text model. */
export function isTextModel(inputs: readonly TensorInfo[]): boolean {
  return (
    inputs.some((input) => input.name === "input_ids") &&
    inputs.every(
      (input) =>
        Object.hasOwn(fillings, input.name) && input.shape.length === 2 && input.datatype !== "BYTES",
    )
  );
}

/**
 * A task whose instances are texts. Texts longer than the model are cut, as Hugging Face pipelines with truncation do.
 * Shorter ones are padded to the longest of the request, or to the length the graph fixes.
 */
export function createTextTask(options: TextTaskOptions): Task {
  const { tokenizer, scores, instanceLimit } = options;
  const inputs = options.inputs.map(batchedInput);
  const fixed = inputs.find((input) => input.name === "input_ids")?.sampleShape[0] ?? null;
  const masked = inputs.some((input) => input.name === "attention_mask");
  const lengths = [fixed, tokenizer.maxLength, options.maxLength].filter((length) => length !== null);
  const maxLength = lengths.length > 0 ? Math.min(...lengths) : defaultMaxLength;

  // An async function turns what it throws into a rejection.
  const prepare = async (instances: readonly unknown[]): Promise<Prepared> => {
    checkInstances(instances, inputs, instanceLimit);
    const encoded = instances.map((instance, i) =>
      tokenizer.encode(textOf(`instances[${i}]`, instance), maxLength),
    );
    const length = fixed ?? Math.max(1, ...encoded.map(({ ids }) => ids.length));
    if (!masked && fixed === null) checkSameLength(encoded, length);
    const rows = encoded.map((one) => ({
      encoded: one,
      offset: tokenizer.padSide === "left" ? length - one.ids.length : 0,
    }));
    return {
      batch: rows.length,
      inputs: Object.fromEntries(
        inputs.map((input) => [input.name, fill(input, rows, length, tokenizer.padId)]),
      ),
      locate: (sample, column) => locate(rows[sample], column),
    };
  };
  return {
    kind: "text-classification",
    labels: scores.labels,
    batch: fixedBatch(inputs),
    layout: { kind: "sequence", firstKey: options.firstKey ?? tokenizer.leading },
    prepare,
    erase: (instance, places) => Promise.resolve(eraseTokens(textOf("instance", instance), places)),
    predict: scores.predict,
    logits: scores.logits,
  };
}

function textOf(at: string, instance: unknown): string {
  if (typeof instance !== "string") {
    throw new AtPatchError("ATPATCH_BAD_INPUT", `${at}: expected a text, got ${describeJson(instance)}`);
  }
  if (instance.length > characterLimit) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `${at}: has ${instance.length} characters, at most ${characterLimit} are accepted`,
    );
  }
  return instance;
}

/** Without a mask the model cannot tell padding from text. */
function checkSameLength(encoded: readonly EncodedText[], length: number): void {
  const other = encoded.findIndex(({ ids }) => ids.length !== length);
  if (other >= 0) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `instances[${other}]: has ${encoded[other]!.ids.length} tokens, another has ${length}: the model takes no attention_mask, so texts of one request need one length`,
    );
  }
}

/** [batch, length] of one input. */
function fill(input: BatchedInput, rows: readonly Row[], length: number, padId: number): Tensor {
  const { name, datatype } = input;
  const filling = fillings[name]!;
  const values = rows.flatMap((row) =>
    Array.from({ length }, (_, position) => {
      const index = position - row.offset;
      return filling(row, index >= 0 && index < row.encoded.ids.length ? index : null, padId);
    }),
  );
  return { datatype, shape: [rows.length, length], data: castIntegers(datatype, values) };
}

function castIntegers(datatype: NumericDatatype, values: readonly number[]): Tensor["data"] {
  return datatype === "INT64" || datatype === "UINT64"
    ? datatypes[datatype].from(values.map(BigInt))
    : datatypes[datatype].from(values);
}

/** The token at a key position and its code points in the text; null for special tokens and padding. */
function locate(row: Row | undefined, column: number): ColumnPlace | null {
  const index = column - (row?.offset ?? 0);
  const span = row?.encoded.spans[index];
  return row && span ? { token: row.encoded.tokens[index]!, start: span[0], end: span[1] } : null;
}
