/**
 * Puts the operator at every site of a graph and of the If branches inside it. Flags travel along a key axis in execution
 * order: into a branch from the graph around it, and out of an If as additional outputs.
 */
import { create } from "@bufbuild/protobuf";
import type { AttentionSite } from "../attention/site.ts";
import { ValueInfoProtoSchema } from "../onnx/generated/onnx_pb.ts";
import { DataType, type GraphProto, type NodeProto } from "../onnx/model.ts";
import { sortNodes } from "../onnx/sort-nodes.ts";
import { subgraphsOf } from "../onnx/walk.ts";
import { hotfixNames, type TapKind } from "../shared/patched-model.ts";
import { emitInitialState, emitReported, type AxisState } from "./axis-state.ts";
import { list, type Carried } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitCanonical, insertPatch, type Asked } from "./insert-patch.ts";
import { hasWindows } from "./layout.ts";
import { emitNothing } from "./nothing.ts";

/** What is the same at every site of a model. */
export interface PatchContext {
  readonly sites: readonly AttentionSite[];
  readonly taps: readonly TapKind[];
  /** int32 [B] */
  readonly mode: string;
  /** int64 [S]: slots with detection switched off where nobody observes. */
  readonly slot: string;
  /** What each site is asked for. */
  readonly asked: readonly Asked[];
  /** Whether detectors may come in the pointwise form. */
  readonly pointwise: boolean;
  /** Whether the model holds tensors that are quantised and brought back. */
  readonly quantised: boolean;
}

/** States by key axis. */
export type AxisStates = ReadonlyMap<number, AxisState>;

/**
 * Changes `graph` in place.
 * @param e writes into this graph
 * @param before states at the point where the graph begins to run
 * @returns the states after it; those it did not touch are the ones given
 */
export function patchGraph(
  e: Emitter,
  graph: GraphProto,
  context: PatchContext,
  before: AxisStates,
): AxisStates {
  const own = context.sites.filter((site) => site.graph === graph);
  const states = new Map(before);
  // Node order is execution order: sites count at the first node that reads their map.
  for (const node of graph.node) {
    for (const site of own) if (site.mapReaders[0]?.node === node) patchSite(e, site, context, states);
    if (node.opType === "If") patchIf(e, node, context, states);
  }
  graph.node = sortNodes([...e.nodes, ...graph.node]);
  return states;
}

function patchSite(
  e: Emitter,
  site: AttentionSite,
  context: PatchContext,
  states: Map<number, AxisState>,
): void {
  const { mode } = context;
  const canonical = emitCanonical(e, site, mode);
  const windows = hasWindows(site.leading);
  const state =
    states.get(site.axis) ?? emitInitialState(e, site.axis, site.index, canonical.map.name, mode, windows);
  states.set(site.axis, insertPatch(e, site, canonical, state, context));
}

/** Patches both branches and returns what they changed as outputs of the If. */
function patchIf(e: Emitter, node: NodeProto, context: PatchContext, states: Map<number, AxisState>): void {
  const inside = (graph: GraphProto): boolean =>
    context.sites.some((site) => site.graph === graph) ||
    graph.node.some((inner) => subgraphsOf(inner).some((branch) => inside(branch.graph)));
  const branches = subgraphsOf(node).map(({ graph }) => ({ graph, emitter: e.branch() }));
  if (!branches.some(({ graph }) => inside(graph))) return;
  const outer: AxisStates = new Map(states);
  const after = branches.map(({ graph, emitter }) => patchGraph(emitter, graph, context, outer));

  const changed = [...new Set(after.flatMap((each) => [...each.keys()]))].filter((axis) =>
    after.some((each) => each.get(axis) !== outer.get(axis)),
  );
  for (const axis of changed) {
    const outputs = {
      flags: e.fresh("if/flags"),
      scores: e.fresh("if/scores"),
      repair: e.fresh("if/repair"),
    };
    node.output.push(...list(outputs));
    branches.forEach(({ graph }, i) => {
      // A fresh emitter: the branch's own nodes are in the graph already.
      const leaving = e.branch();
      const state = after[i]?.get(axis);
      const left = state ? emitLeft(leaving, state, context.mode) : emitUntouched(leaving, context.mode);
      addOutputs(graph, leaving, list(left));
    });
    states.set(axis, { axis, mode: context.mode, carried: outputs });
  }
  for (const { index } of context.sites) {
    for (const output of siteOutputs(index, context.taps)) bubble(e, node, branches, output, context.mode);
  }
}

/** State of an axis as it leaves the branch. */
function emitLeft(e: Emitter, state: AxisState, mode: string): Carried {
  return { ...emitReported(e, state, mode), repair: e.op("Identity", [state.carried.repair]) };
}

/** State of an axis that the branch never meets: nothing flagged, [B, 1]. */
function emitUntouched(e: Emitter, mode: string): Carried {
  const flags = e.op("Mul", [e.unsqueeze(mode, [1]), e.int32(0)]);
  return { flags, scores: e.toFloat(flags), repair: e.cast(e.int(0), DataType.BOOL) };
}

/** What a site returns beside its axis' state. */
export interface SiteOutput {
  readonly name: string;
  readonly rank: number;
}

export function siteOutputs(site: number, taps: readonly TapKind[]): SiteOutput[] {
  const tapped = taps.map((kind) => ({ name: hotfixNames.tap(kind, site), rank: 4 }));
  return [
    { name: hotfixNames.reported(site), rank: 3 },
    { name: hotfixNames.values(site), rank: 2 },
    ...tapped,
  ];
}

/** Returns a site's output in one branch from the If; the other branch returns an empty tensor in its place. */
function bubble(
  e: Emitter,
  node: NodeProto,
  branches: readonly { graph: GraphProto }[],
  { name, rank }: SiteOutput,
  mode: string,
): void {
  const makes = (graph: GraphProto): boolean => graph.node.some((inner) => inner.output.includes(name));
  if (!branches.some(({ graph }) => makes(graph))) return;
  for (const { graph } of branches) {
    const leaving = e.branch();
    let local = e.fresh("site-output");
    // The name belongs to the If from here on; inside, the tensor gets another one.
    if (makes(graph)) renameInside(graph, name, local);
    else local = emitNothing(leaving, rank, mode);
    addOutputs(graph, leaving, [local]);
  }
  node.output.push(name);
}

function renameInside(graph: GraphProto, from: string, to: string): void {
  for (const inner of graph.node) {
    inner.input = inner.input.map((name) => (name === from ? to : name));
    inner.output = inner.output.map((name) => (name === from ? to : name));
  }
}

function addOutputs(graph: GraphProto, e: Emitter, outputs: readonly string[]): void {
  graph.node.push(...e.nodes);
  graph.output.push(...outputs.map((name) => create(ValueInfoProtoSchema, { name })));
}
