/** What hides keys from queries, in words, and whether later keys are hidden from earlier queries. */
import { smallNumbers } from "../onnx/tensor-data.ts";
import { findAttribute, type TensorProto } from "../onnx/model.ts";
import type { ScoreTerm } from "./find-scores.ts";
import type { Scope } from "./scope.ts";

export interface Mask {
  readonly causal: boolean;
  /** "Add attention_mask", "causal Where", "Add constant bias", joined by commas; "none". */
  readonly text: string;
}

const comparisons = new Set("Less LessOrEqual Greater GreaterOrEqual".split(" "));
/** Tensors looked at behind one term. */
const most = 500;

export function maskOf(scope: Scope, terms: readonly ScoreTerm[]): Mask {
  const parts = terms.flatMap(({ operator, tensor }) => {
    const behind = sourcesOf(scope, tensor);
    const isMask = behind.causal || behind.inputs.length > 0 || behind.matrix;
    if (!isMask) return [];
    const words = [
      ...(behind.causal ? ["causal"] : []),
      operator,
      ...(behind.inputs.length > 0
        ? [behind.inputs.join(" and ")]
        : behind.causal
          ? []
          : [behind.product ? "relative scores" : "constant bias"]),
    ];
    return [{ text: words.join(" "), causal: behind.causal }];
  });
  const texts = [...new Set(parts.map(({ text }) => text))];
  return { causal: parts.some(({ causal }) => causal), text: texts.join(", ") || "none" };
}

interface Sources {
  inputs: string[];
  causal: boolean;
  /** Whether the term has more than one value. */
  matrix: boolean;
  product: boolean;
}

/** Walks back from a term to the inputs of the model, without passing products of two activations. */
function sourcesOf(scope: Scope, start: string): Sources {
  const result: Sources = {
    inputs: [],
    causal: false,
    matrix: (scope.axes.axes(start) ?? []).some((axis) => axis.length > 0),
    product: false,
  };
  const seen = new Set<string>();
  const open = [start];
  for (let name = open.pop(); name !== undefined && seen.size < most; name = open.pop()) {
    if (name === "" || seen.has(name)) continue;
    seen.add(name);
    const maker = scope.index.maker(name)?.node;
    const constant = maker ? findAttribute(maker, "value")?.t : scope.index.initializer(name);
    if (constant && isTriangular(constant)) result.causal = true;
    if (!maker) {
      if (scope.index.input(name) && !result.inputs.includes(name)) result.inputs.push(name);
      continue;
    }
    if (scope.contraction(maker)) {
      if (scope.isDataProduct(maker)) result.product = true;
      continue;
    }
    if (maker.opType === "Trilu" || (comparisons.has(maker.opType) && comparesPositions(scope, maker.input)))
      result.causal = true;
    if (maker.opType !== "Shape" && maker.opType !== "Size") open.push(...maker.input);
  }
  result.inputs.sort();
  return result;
}

/** Two ranges of positions, one along the queries and one along the keys. */
function comparesPositions(scope: Scope, inputs: readonly string[]): boolean {
  const [a, b] = inputs.map((name) => scope.axes.axes(name));
  const [nameA = "", nameB = ""] = inputs;
  if (!a || !b || scope.isData(nameA) || scope.isData(nameB)) return false;
  const last = (axes: typeof a, back: number): boolean => (axes.at(-back)?.length ?? 0) > 0;
  return (
    (last(a, 1) && !last(a, 2) && last(b, 2) && !last(b, 1)) ||
    (last(b, 1) && !last(b, 2) && last(a, 2) && !last(a, 1))
  );
}

/** Whether the last two axes of a constant hold one value above the diagonal and another on and below it. */
function isTriangular(tensor: TensorProto): boolean {
  const [rows = 0, columns = 0] = tensor.dims.slice(-2).map(Number);
  if (tensor.dims.length < 2 || rows < 2 || columns < rows) return false;
  const values = smallNumbers(tensor, 1 << 20);
  if (!values) return false;
  const offset = columns - rows;
  const matrix = values.slice(0, rows * columns);
  const [above, below] = [new Set<number>(), new Set<number>()];
  matrix.forEach((value, i) => (i % columns > Math.floor(i / columns) + offset ? above : below).add(value));
  return above.size === 1 && below.size === 1 && [...above][0] !== [...below][0];
}
