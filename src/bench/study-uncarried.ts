/** A patched model whose sites do not tell each other what they flagged: every site has a key axis of its own. */
import { prepareModel } from "../attention/prepare-model.ts";
import { describeModel } from "../hotfix/describe.ts";
import { fingerprint } from "../hotfix/fingerprint.ts";
import { instrumentGraph } from "../hotfix/instrument-graph.ts";
import { encodeModel } from "../onnx/codec.ts";
import { externalTensors } from "../onnx/external-files.ts";
import { decodeSkeleton } from "../onnx/skeleton.ts";
import type { ModelFile } from "../shared/model-file.ts";
import type { PatchedModel } from "../shared/patched-model.ts";

export function instrumentUncarried(file: ModelFile): PatchedModel {
  const model = decodeSkeleton(file.bytes, file.name);
  const identity = fingerprint(file, model);
  const sites = prepareModel(model).sites.map((site) => ({ ...site, axis: site.index }));
  const description = describeModel(model, sites, identity);
  const external = new Map<string, number>();
  for (const { location, offset, length } of externalTensors(model))
    external.set(location, Math.max(external.get(location) ?? 0, offset + (length ?? 0)));
  instrumentGraph(model, sites, []);
  return {
    description,
    bytes: encodeModel(model),
    external: [...external].map(([location, bytes]) => ({ location, bytes })),
  };
}
