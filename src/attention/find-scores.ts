/** Follows scores back from their normalisation to the product of queries and keys. */
import type { Axis } from "../onnx/axes/atom.ts";
import { keepsAxes } from "../onnx/axes/elementwise-rules.ts";
import { operatorOf, type Contraction } from "../onnx/contraction.ts";
import type { NodeProto } from "../onnx/model.ts";
import { nodeLabel } from "../onnx/walk.ts";
import type { Scope } from "./scope.ts";

/** A tensor and where its key and query axes are. */
interface Place {
  readonly tensor: string;
  readonly key: number;
  readonly query: number;
}

/** A tensor that was added to or laid over the scores on their way. */
export interface ScoreTerm {
  readonly operator: string;
  readonly tensor: string;
}

/** The product that made the scores. */
export interface ScoreProduct {
  readonly node: NodeProto;
  readonly queries: string;
  readonly keys: string;
  /** Axis over which the queries and the keys run, as atoms. */
  readonly queryAxis: Axis;
  readonly keyAxis: Axis;
  readonly terms: readonly ScoreTerm[];
}

export type Found = { readonly product: ScoreProduct } | { readonly reason: string };

const sums = new Set(
  "Add Sub Mul Div Where Max Min Pow Mod Sum com.microsoft.QLinearAdd com.microsoft.QLinearMul".split(" "),
);
const layouts = new Set("Reshape Transpose Squeeze Unsqueeze Flatten Expand".split(" "));
const selecting = new Set("Slice Pad ScatterND ScatterElements Gather GatherElements CumSum".split(" "));

/** Ways looked at before the search gives up. */
const most = 400;

/**
 * @param start the scores with the positions of their key and query axes
 * @returns the product of two activations, or why there is none
 */
export function findScores(scope: Scope, start: Place): Found {
  let reason = "no product of queries and keys makes the scores";
  let rank = 0;
  let visited = 0;
  const miss = (text: string, weight: number): null => {
    if (weight > rank) [reason, rank] = [text, weight];
    return null;
  };

  const search = (place: Place, terms: readonly ScoreTerm[]): ScoreProduct | null => {
    const made = scope.index.maker(place.tensor);
    if (!made || ++visited > most) return miss("the scores are taken from outside the graph", 1);
    const { node } = made;
    const contraction = scope.contraction(node);
    if (contraction) return fromProduct(node, contraction, place, terms);
    const operator = operatorOf(node);
    if (sums.has(operator)) {
      for (const [i, tensor] of node.input.entries()) {
        if (operator === "Where" && i === 0) continue;
        const inner = placeIn(scope, tensor, place);
        if (!inner) continue;
        const others = node.input.filter((name, j) => j !== i && runsOverKeys(scope, name, place));
        const found = search(inner, [...terms, ...others.map((name) => ({ operator, tensor: name }))]);
        if (found) return found;
      }
      return null;
    }
    if (layouts.has(operator)) {
      const inner = beforeLayout(scope, node, place);
      return inner ? search(inner, terms) : miss(`${operator} takes the key axis of the scores apart`, 2);
    }
    if (operator === "Concat") {
      for (const tensor of node.input) {
        const found = search({ ...place, tensor }, terms);
        if (found) return found;
      }
      return null;
    }
    const passes = keepsAxes(operator) || selecting.has(operator) || operator === "Split";
    const first = node.input[0] ?? "";
    if (passes && operator !== "Softmax") return search({ ...place, tensor: first }, terms);
    const spatial = operator === "Conv" && place.key >= 2 && place.query >= 2;
    if (spatial) return search({ ...place, tensor: first }, terms);
    return miss(`the scores come from ${operator} ${nodeLabel(node)}, no product of queries and keys`, 2);
  };

  const fromProduct = (
    node: NodeProto,
    contraction: Contraction,
    place: Place,
    terms: readonly ScoreTerm[],
  ): ScoreProduct | null => {
    const [keyLetter, queryLetter] = [contraction.output[place.key], contraction.output[place.query]];
    if (keyLetter === undefined || queryLetter === undefined)
      return miss("the scores have no key or no query axis", 2);
    const { left, right } = contraction;
    const [keys, queries] = left.axes.includes(keyLetter) ? [left, right] : [right, left];
    const [keyName, queryName] = [node.input[keys.input] ?? "", node.input[queries.input] ?? ""];
    const label = nodeLabel(node);
    if (keys.axes.includes(queryLetter) || queries.axes.includes(keyLetter)) {
      // Scores mixed over the heads by a fixed matrix are still scores.
      if (!scope.isData(queryName) && !queries.axes.includes(keyLetter)) {
        return search(
          { tensor: keyName, key: keys.axes.indexOf(keyLetter), query: keys.axes.indexOf(queryLetter) },
          terms,
        );
      }
      return miss(`queries and keys are on the same side of the product ${label}`, 3);
    }
    if (!scope.isData(keyName)) {
      return miss(
        `the scores come from a weight matrix or constant keys (product ${label}), not from two activations`,
        4,
      );
    }
    const flat = (scope.axes.rank(queryName) ?? 0) < 3;
    if (!scope.isData(queryName) && flat) {
      return miss(`the scores come from a weight matrix (product ${label}), not from queries and keys`, 4);
    }
    const axis = (operand: { input: number; axes: readonly string[] }, letter: string): Axis =>
      scope.inputAxes(node, operand.input)?.[operand.axes.indexOf(letter)] ?? [];
    return {
      node,
      queries: queryName,
      keys: keyName,
      queryAxis: axis(queries, queryLetter),
      keyAxis: axis(keys, keyLetter),
      terms,
    };
  };

  const product = search(start, []);
  return product ? { product } : { reason };
}

/** The operand of an elementwise node, if it runs over the keys by itself. */
function placeIn(scope: Scope, tensor: string, place: Place): Place | null {
  const [own, result] = [scope.axes.rank(tensor), scope.axes.rank(place.tensor)];
  if (own === null || result === null || !scope.isData(tensor)) return null;
  const [key, query] = [place.key - result + own, place.query - result + own];
  const axes = scope.axes.axes(tensor);
  return key >= 0 && query >= 0 && axes?.[key]?.length !== 0 ? { tensor, key, query } : null;
}

/** Whether a tensor that is laid over the scores differs from key to key. */
function runsOverKeys(scope: Scope, tensor: string, place: Place): boolean {
  const [axes, rank] = [scope.axes.axes(tensor), scope.axes.rank(place.tensor)];
  return axes !== null && rank !== null && (axes[place.key - rank + axes.length]?.length ?? 0) > 0;
}

/** Where the axes were before a Reshape, Transpose or the like. */
function beforeLayout(scope: Scope, node: NodeProto, place: Place): Place | null {
  const tensor = node.input[0] ?? "";
  const axes = scope.axes.axes(tensor);
  if (!axes) return null;
  const marked = axes.map((axis, i) => scope.axes.table.labelled(axis, i));
  const result = scope.axes.through(node, new Map([[tensor, marked]]))[0];
  const keys = new Set(result?.[place.key]?.map(({ label }) => label));
  const key = [...keys][0];
  if (keys.size !== 1 || key === undefined || key === null) return null;
  // Where axes were merged, the one that varies fastest holds the queries.
  const query = result?.[place.query]?.at(-1)?.label ?? neighbour(key, axes.length);
  return query === null || query === key ? null : { tensor, key, query };
}

/** The usual place of a query axis that has a single position and therefore cannot be followed. */
function neighbour(key: number, rank: number): number | null {
  if (rank < 2) return null;
  return key === rank - 1 ? key - 1 : key + 1;
}
