/** From the model's outputs to class scores and predictions. */
import { AtPatchError } from "../shared/errors.ts";
import { floatValues } from "../shared/float-bits.ts";
import type { Tensor, TensorInfo } from "../shared/tensor.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { Prediction } from "./task.ts";

/** How scores become probabilities: one class of many, or every class for itself. */
export type Activation = "softmax" | "sigmoid";

/** Reads predictions out of a model's outputs. */
export interface ClassScores {
  readonly labels: readonly string[];
  /** Raw scores: `[batch][classes]`. A single score z becomes the two classes [0, z]; a probability p becomes log p. */
  readonly logits: (outputs: Readonly<Record<string, Tensor>>, batch: number) => Float32Array[];
  readonly predict: (outputs: Readonly<Record<string, Tensor>>, batch: number, topK: number) => Prediction[];
}

/** The parts of a model folder that decide how outputs are read. */
export type ScoreSource = Pick<ModelFolder, "config" | "settings" | "labels">;

const floats: readonly string[] = ["FP32", "FP16", "BF16", "FP64"];
/** Keeps log p finite for probabilities that underflowed. */
const smallest = 1e-30;

/**
 * The output that holds class scores: the one `atpatch.json` names, else "logits", else the first floating-point output
 * [batch, classes], else the first [batch] or of unknown class count; null when there is none.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the named output does not exist
 */
export function scoreOutput(source: ScoreSource, outputs: readonly TensorInfo[]): TensorInfo | null {
  const named = source.settings.output?.name;
  const found = outputs.find((output) => output.name === (named ?? "logits"));
  if (named !== undefined && !found) {
    const names = outputs.map((output) => output.name).join(", ");
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      `atpatch.json: output.name: the model has ${names}, not ${named}`,
    );
  }
  if (found) return found;
  const ofRank = (dimensions: number): TensorInfo | undefined =>
    outputs.find((output) => floats.includes(output.datatype) && output.shape.length === dimensions);
  return ofRank(2) ?? ofRank(1) ?? null;
}

/**
 * Decides once how the outputs of a model are read. Outputs count as probabilities only when `atpatch.json` says so:
 * numbers alone cannot tell.
 * @throws AtPatchError ATPATCH_BAD_MODEL when labels and classes of the output differ in number
 */
export function createClassScores(source: ScoreSource, outputs: readonly TensorInfo[]): ClassScores {
  const output = scoreOutput(source, outputs);
  const probabilities = source.settings.output?.kind === "probabilities";
  const multiLabel = source.config?.problemType === "multi_label_classification";
  const known = output && knownClasses(output);
  const labels = namedLabels(source.labels, known);

  const read = (answers: Readonly<Record<string, Tensor>>, batch: number): Scores => {
    const { classes, values } = scores(output, answers, batch);
    const activation = multiLabel && classes > 1 ? "sigmoid" : "softmax";
    const logits = Array.from({ length: batch }, (_, b) => {
      const row = values.slice(b * classes, (b + 1) * classes);
      if (!row.every(Number.isFinite)) {
        throw new AtPatchError("ATPATCH_UNPROCESSABLE", `instances[${b}]: the model's scores are not finite`);
      }
      if (!probabilities) return classes === 1 ? Float32Array.of(0, row[0]!) : row;
      const all = classes === 1 ? Float32Array.of(1 - row[0]!, row[0]!) : row;
      return all.map(activation === "sigmoid" ? logOdds : logOf);
    });
    return { activation, logits };
  };
  return {
    labels,
    logits: (answers, batch) => read(answers, batch).logits,
    predict: (answers, batch, topK) => {
      const { activation, logits } = read(answers, batch);
      return logits.map((row) => rank(row, labels, activation, topK));
    },
  };
}

interface Scores {
  readonly activation: Activation;
  readonly logits: Float32Array[];
}

/** Columns of the score output when the graph fixes them; [batch] counts as one. */
function knownClasses(output: TensorInfo): number | null {
  return output.shape.length === 1 ? 1 : (output.shape.at(-1) ?? null);
}

function namedLabels(given: readonly string[] | null, columns: number | null): readonly string[] {
  const classes = columns === 1 ? 2 : columns;
  if (!given) return Array.from({ length: classes ?? 0 }, (_, index) => String(index));
  const labels = columns === 1 && given.length === 1 ? [`not ${given[0]}`, given[0]!] : given;
  if (classes !== null && classes !== labels.length) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      `the model has ${classes} classes, but ${given.length} labels are given (config.json id2label or atpatch.json labels)`,
    );
  }
  return labels;
}

function scores(
  output: TensorInfo | null,
  answers: Readonly<Record<string, Tensor>>,
  batch: number,
): { classes: number; values: Float32Array } {
  const answer = output && answers[output.name];
  if (!answer) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      "the model has no output with class scores to predict from",
    );
  }
  const [rows, classes = 1] = answer.shape;
  if (rows !== batch || answer.shape.length > 2 || classes === 0) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `output "${output.name}" has shape [${answer.shape.join(", ")}], class scores need [${batch}, classes]`,
    );
  }
  return { classes, values: floatValues(answer) };
}

function logOf(p: number): number {
  return Math.log(Math.max(p, smallest));
}

function logOdds(p: number): number {
  return Math.log(Math.max(p, smallest) / Math.max(1 - p, smallest));
}

/** The prediction of one sample: the most probable class and the `topK` best. */
export function rank(
  logits: Float32Array,
  labels: readonly string[],
  activation: Activation,
  topK: number,
): Prediction {
  const probabilities = activation === "softmax" ? softmax(logits) : Float64Array.from(logits, sigmoid);
  // By score: probabilities of different scores can round to the same number.
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const nameOf = (index: number): string => labels[index] ?? String(index);
  const best = order[0]!;
  return {
    label: nameOf(best),
    index: best,
    score: probabilities[best]!,
    probabilities: Object.fromEntries(
      order.slice(0, Math.max(1, topK)).map((index) => [nameOf(index), probabilities[index]!]),
    ),
  };
}

/** Probabilities that add up to 1. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const exponentials = Float64Array.from(logits);
  const most = exponentials.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  exponentials.forEach((logit, i) => {
    exponentials[i] = Math.exp(logit - most);
    sum += exponentials[i];
  });
  return exponentials.map((exponential) => exponential / sum);
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
