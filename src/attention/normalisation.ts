/** Finds the nodes that turn scores into weights which sum to one along an axis. */
import { operatorOf } from "../onnx/contraction.ts";
import { axesArgument, fromFront } from "../onnx/axes/rule.ts";
import { intAttribute, type NodeProto } from "../onnx/model.ts";
import { nodeLabel } from "../onnx/walk.ts";
import type { Scope } from "./scope.ts";

/** A normalisation over one axis. */
export interface Normalisation {
  readonly node: NodeProto;
  readonly form: string;
  /** Tensor before and after; both have the same axes. */
  readonly scores: string;
  readonly weights: string;
  /** Position of the axis the weights sum to one over. */
  readonly axis: number;
}

/** A normalisation, or why a node that looks like one is none over a single axis. */
export type Candidate =
  { readonly found: Normalisation } | { readonly node: NodeProto; readonly reason: string };

/** Softmax flattens to two dimensions before this opset. */
const perAxisOpset = 13;

/** All candidates of a graph in execution order. */
export function normalisationsOf(scope: Scope): Candidate[] {
  return scope.graph.node.flatMap((node) => {
    const candidate = softmax(scope, node) ?? expSumDiv(scope, node);
    return candidate ? [candidate] : [];
  });
}

function softmax(scope: Scope, node: NodeProto): Candidate | null {
  if (operatorOf(node) !== "Softmax") return null;
  const [scores = "", weights = ""] = [node.input[0], node.output[0]];
  const axes = scope.axes.axes(scores);
  if (!axes) return { node, reason: `the rank of its input is unknown, so its axis cannot be told` };
  const flattens = scope.opset < perAxisOpset;
  const axis = fromFront(intAttribute(node, "axis", flattens ? 1 : -1), axes.length);
  if (axis === null) return { node, reason: `its axis lies outside a tensor of rank ${axes.length}` };
  if (flattens && axes.slice(axis + 1).some((trailing) => trailing.length > 0)) {
    return {
      node,
      reason: `at opset ${scope.opset} Softmax with axis ${axis} normalises over all axes from ${axis} on at once, so its rows are no distributions`,
    };
  }
  return { found: { node, form: "softmax", scores, weights, axis } };
}

/** e / sum(e) over one axis, with e an exponential; the sum may be guarded, broadcast or inverted on its way. */
function expSumDiv(scope: Scope, node: NodeProto): Candidate | null {
  const operator = operatorOf(node);
  if (operator !== "Div" && operator !== "Mul") return null;
  const sides =
    operator === "Div"
      ? [[0, 1]]
      : [
          [0, 1],
          [1, 0],
        ];
  for (const [over = 0, under = 1] of sides) {
    const [powers = "", divisor = ""] = [node.input[over], node.input[under]];
    const sum = sumOf(scope, divisor, powers, operator === "Mul");
    const rank = scope.axes.rank(powers);
    if (!sum || rank === null) continue;
    const exponential = throughGuards(scope, powers);
    if (exponential?.opType !== "Exp") {
      return {
        node,
        reason: `the weights are no exponentials: ${exponential ? nodeLabel(exponential) : powers} makes them`,
      };
    }
    const summed = reducedAxes(scope, sum, rank);
    if (summed?.length !== 1 || summed[0] === undefined)
      return { node, reason: "the sum runs over more than one axis" };
    const found = {
      node,
      form: "exp-sum-div",
      scores: exponential.input[0] ?? "",
      weights: node.output[0] ?? "",
      axis: summed[0],
    };
    return { found };
  }
  return null;
}

/** The ReduceSum of `powers` that a divisor comes from. */
function sumOf(scope: Scope, divisor: string, powers: string, inverted: boolean): NodeProto | null {
  let name = divisor;
  let open = inverted;
  for (let steps = 0; steps < 8; steps++) {
    const maker = scope.index.maker(name)?.node;
    if (!maker) return null;
    const operator = operatorOf(maker);
    if (operator === "ReduceSum") return !open && maker.input[0] === powers ? maker : null;
    if (operator === "Reciprocal") open = false;
    else if (!["Add", "Max", "Clip", "Cast", "Expand", "Unsqueeze", "Identity"].includes(operator))
      return null;
    name = maker.input.find((input) => scope.isData(input)) ?? "";
  }
  return null;
}

/** The maker of a tensor, past masks and type changes. */
function throughGuards(scope: Scope, name: string): NodeProto | undefined {
  let maker = scope.index.maker(name)?.node;
  for (
    let steps = 0;
    maker && steps < 4 && ["Cast", "Mul", "Identity", "Where"].includes(operatorOf(maker));
    steps++
  ) {
    const exponential = maker.input
      .map((input) => scope.index.maker(input)?.node)
      .find((before) => before?.opType === "Exp");
    maker = exponential ?? scope.index.maker(maker.input[0] ?? "")?.node;
  }
  return maker;
}

function reducedAxes(scope: Scope, sum: NodeProto, rank: number): number[] | null {
  return axesArgument(scope.axes.contextOf(sum), 1, rank) ?? null;
}
