/** Writes every fused attention operator of a graph, and of the graphs inside it, with plain operators. */
import { operatorOf } from "../../onnx/contraction.ts";
import type { FreshNames } from "../../onnx/fresh-names.ts";
import type { GraphProto, NodeProto } from "../../onnx/model.ts";
import { subgraphsOf } from "../../onnx/walk.ts";
import { Scope } from "../scope.ts";
import { Emitter, minimumOpset } from "../../onnx/emitter.ts";
import type { Expand } from "./expansion.ts";
import { expandGroupQueryAttention } from "./group-query-attention.ts";
import { expandAttention, expandQAttention } from "./ms-attention.ts";
import { expandMultiHeadAttention } from "./multi-head-attention.ts";
import { expandOnnxAttention } from "./onnx-attention.ts";
import { requantise } from "./requantise.ts";
import { expandBiasSoftmax, expandQLinearSoftmax } from "./softmax-forms.ts";

/** What writes an operator out: its form in the report, and the opset that brought the operators it is written with. */
interface Expansion {
  readonly form: string;
  readonly expand: Expand;
  readonly opset: number;
}

const expansions: Readonly<Record<string, Expansion>> = {
  Attention: { form: "ai.onnx Attention", expand: expandOnnxAttention, opset: 23 },
  "com.microsoft.Attention": {
    form: "com.microsoft Attention",
    expand: expandAttention,
    opset: minimumOpset,
  },
  "com.microsoft.QAttention": { form: "QAttention", expand: expandQAttention, opset: 10 },
  "com.microsoft.MultiHeadAttention": {
    form: "MultiHeadAttention",
    expand: expandMultiHeadAttention,
    opset: minimumOpset,
  },
  "com.microsoft.GroupQueryAttention": {
    form: "GroupQueryAttention",
    expand: expandGroupQueryAttention,
    opset: 11,
  },
  "com.microsoft.QLinearSoftmax": { form: "QLinearSoftmax", expand: expandQLinearSoftmax, opset: 10 },
  "com.microsoft.BiasSoftmax": { form: "BiasSoftmax", expand: expandBiasSoftmax, opset: minimumOpset },
};

/** Where an operator came from that the scan will meet. */
export interface Provenance {
  /** Normalisations that were inside a fused operator: its form and the name of its node. */
  readonly fused: Map<NodeProto, { readonly form: string; readonly node: string }>;
  /** Fused operators that stay, and why. */
  readonly refused: Map<NodeProto, string>;
}

/** Changes the graph in place and notes what it did. */
export function expandGraph(
  graph: GraphProto,
  opset: number,
  names: FreshNames,
  done: Provenance,
  outer: Scope | null = null,
): void {
  const scope = new Scope(graph, opset, outer);
  graph.node = graph.node.flatMap((node) => {
    for (const { graph: body } of subgraphsOf(node)) expandGraph(body, opset, names, done, scope);
    const expansion = expansions[operatorOf(node)];
    const label = node.name === "" ? (node.output[0] ?? "") : node.name;
    if (!expansion) return [...requantise(scope, node, new Emitter(opset, names, label)), node];
    if (opset < expansion.opset) {
      done.refused.set(node, `opset ${opset} lacks the operators to write it out`);
      return [node];
    }
    const e = new Emitter(opset, names, label);
    const result = expansion.expand({ node, scope, e });
    if ("reason" in result) {
      done.refused.set(node, result.reason);
      return [node];
    }
    const normalisation = e.nodes.find(({ output }) => output[0] === result.weights);
    if (normalisation) done.fused.set(normalisation, { form: expansion.form, node: label });
    return e.nodes;
  });
}
