/** Every product of two tensors that sums over an axis, in one form: a letter for each axis, as in Einsum. */
import { findAttribute, intAttribute, stringAttribute, type NodeProto } from "./model.ts";
import { isStandard } from "./walk.ts";

export interface Operand {
  /** Position of the operand among the node's inputs. */
  readonly input: number;
  /** One letter per axis. */
  readonly axes: readonly string[];
}

export interface Contraction {
  readonly left: Operand;
  readonly right: Operand;
  /** Letters of the product's axes. */
  readonly output: readonly string[];
}

/** Inputs that hold the two matrices, for operators with the meaning of a matrix product. */
const matrixProducts: Readonly<Record<string, readonly [number, number]>> = {
  MatMul: [0, 1],
  MatMulInteger: [0, 1],
  QLinearMatMul: [0, 3],
  "com.microsoft.FusedMatMul": [0, 1],
  "com.microsoft.TransposeMatMul": [0, 1],
  "com.microsoft.MatMulIntegerToFloat": [0, 1],
  "com.microsoft.DynamicQuantizeMatMul": [0, 1],
  "com.microsoft.MatMulInteger16": [0, 1],
};

/** Domain-qualified operator: "MatMul", "com.microsoft.FusedMatMul". */
export function operatorOf(node: NodeProto): string {
  return isStandard(node.domain) ? node.opType : `${node.domain}.${node.opType}`;
}

/**
 * The product a node computes, or null when it is none, or none of two operands.
 * @param rankOf rank of an input of the node; null when unknown
 */
export function contractionOf(node: NodeProto, rankOf: (input: number) => number | null): Contraction | null {
  const operator = operatorOf(node);
  if (operator === "Einsum") return einsum(node, rankOf);
  if (operator === "Gemm" || operator === "com.microsoft.FusedGemm") return gemm(node);
  const inputs = matrixProducts[operator];
  if (!inputs) return null;
  const [left, right] = inputs.map(rankOf);
  if (left === undefined || left === null || right === undefined || right === null) return null;
  const flag = (name: string): boolean => intAttribute(node, name, 0) !== 0;
  const a = matrixAxes(left, "m", "k", flag("transA"), flag("transBatchA"));
  const b = matrixAxes(right, "k", "n", flag("transB"), flag("transBatchB"));
  const batch = batchLetters(Math.max(left, right));
  const output = [...batch, ...(left > 1 ? ["m"] : []), ...(right > 1 ? ["n"] : [])];
  return { left: { input: inputs[0], axes: a }, right: { input: inputs[1], axes: b }, output };
}

/** Batch axes count from the right, so that those of two ranks meet as they broadcast. */
function batchLetters(rank: number): string[] {
  return Array.from({ length: Math.max(0, rank - 2) }, (_, i) => `batch${rank - 2 - i}`);
}

function matrixAxes(
  rank: number,
  rows: string,
  columns: string,
  transposed: boolean,
  batchLast: boolean,
): string[] {
  if (rank < 2) return rank === 1 ? ["k"] : [];
  const [first, second] = transposed ? [columns, rows] : [rows, columns];
  // With transBatch the rows come first and the batch lies between rows and columns.
  return batchLast ? [first, ...batchLetters(rank), second] : [...batchLetters(rank), first, second];
}

function gemm(node: NodeProto): Contraction {
  const a = matrixAxes(2, "m", "k", intAttribute(node, "transA", 0) !== 0, false);
  const b = matrixAxes(2, "k", "n", intAttribute(node, "transB", 0) !== 0, false);
  return { left: { input: 0, axes: a }, right: { input: 1, axes: b }, output: ["m", "n"] };
}

/** Whether the node adds a third operand to its product (Gemm's C). */
export function hasAddend(node: NodeProto): boolean {
  return node.opType === "Gemm" || node.opType === "FusedGemm" ? (node.input[2] ?? "") !== "" : false;
}

function einsum(node: NodeProto, rankOf: (input: number) => number | null): Contraction | null {
  const equation = (stringAttribute(node, "equation") ?? "").replaceAll(" ", "");
  const [inputs = "", explicit] = equation.split("->");
  const terms = inputs.split(",");
  const [left, right] = terms;
  if (terms.length !== 2 || left === undefined || right === undefined || !findAttribute(node, "equation"))
    return null;
  const [a, b] = [letters(left, rankOf(0)), letters(right, rankOf(1))];
  if (!a || !b) return null;
  const spread = [a, b].map((axes) => axes.filter((axis) => axis.startsWith("batch")));
  const ellipsis = (spread[0]?.length ?? 0) >= (spread[1]?.length ?? 0) ? spread[0] : spread[1];
  const all = [...a, ...b].filter((axis) => !axis.startsWith("batch"));
  const output =
    explicit === undefined
      ? [...(ellipsis ?? []), ...all.filter((axis) => all.indexOf(axis) === all.lastIndexOf(axis)).toSorted()]
      : expand(explicit, ellipsis ?? []);
  return { left: { input: 0, axes: a }, right: { input: 1, axes: b }, output };
}

/** Letters of one Einsum term; "..." stands for batch axes, which meet from the right. */
function letters(term: string, rank: number | null): string[] | null {
  const named = term.replace("...", "").length;
  if (!term.includes("...")) return rank === null || rank === named ? term.split("") : null;
  if (rank === null || rank < named) return null;
  return expand(term, batchLetters(rank - named + 2));
}

function expand(term: string, ellipsis: readonly string[]): string[] {
  const [before = "", after] = term.split("...");
  return after === undefined ? before.split("") : [...before, ...ellipsis, ...after];
}
