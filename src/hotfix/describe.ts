/** What callers outside the graph world learn about a patched model. */
import { independentSamples } from "../attention/independent-samples.ts";
import type { AttentionSite } from "../attention/site.ts";
import { requiredInputs, tensorInfo } from "../onnx/tensor-info.ts";
import type { ModelProto } from "../onnx/model.ts";
import type { PatchDescription, SiteDescription } from "../shared/patched-model.ts";

/** Plain data about a site. */
export function describeSite(site: AttentionSite): SiteDescription {
  const { index, layer, kind, form, rank, dims, heads, keys, where, axis, node, mask } = site;
  return { index, layer, kind, form, rank, dims, heads, keys, where, axis, node, mask };
}

/** Describes a model before it is instrumented. */
export function describeModel(
  model: ModelProto,
  sites: readonly AttentionSite[],
  fingerprint: string,
): PatchDescription {
  const graph = model.graph;
  return {
    inputs: graph ? requiredInputs(graph) : [],
    outputs: graph ? graph.output.map(tensorInfo) : [],
    sites: sites.map(describeSite),
    independent: independentSamples(model, sites),
    axes: new Set(sites.map((site) => site.axis)).size,
    fingerprint,
  };
}
