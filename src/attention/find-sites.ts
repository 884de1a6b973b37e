// PROVISIONAL stand-in until the real scanner lands; to be overwritten.
import { DataType, type ModelProto } from "../onnx/model.ts";
import type { AttentionSite, ScanResult } from "./site.ts";
export function findSites(model: ModelProto): ScanResult {
  const sites: AttentionSite[] = [];
  for (const n of model.graph?.node ?? []) {
    if (n.opType !== "Softmax") continue;
    const map = n.output[0] ?? "";
    const pv = model.graph?.node.find((m) => m.opType === "MatMul" && m.input[0] === map);
    if (!pv) continue;
    const index = sites.length;
    sites.push({
      index,
      layer: index,
      kind: "self",
      form: "softmax",
      where: "main",
      rank: 4,
      leading: "B,H",
      dims: "B,H,Tq,Tk",
      elementType: DataType.FLOAT,
      heads: null,
      queries: null,
      keys: null,
      node: n.name,
      map,
      mapPermutation: null,
      mapReaders: [{ node: pv, input: 0 }],
      products: [
        { node: pv, value: pv.input[1] ?? "", valueReader: { node: pv, input: 1 }, valuePermutation: null },
      ],
      axis: 0,
      causal: false,
      mask: "none",
    });
  }
  return { sites, nearMisses: [] };
}
