/** From the bytes of a deployed model to the same model with the hot-fix at every attention site. */
import { prepareModel } from "../attention/prepare-model.ts";
import type { NearMiss, ScanResult } from "../attention/site.ts";
import { decodeModel, encodeModel } from "../onnx/codec.ts";
import { externalTensors } from "../onnx/external-files.ts";
import type { ModelProto } from "../onnx/model.ts";
import { decodeSkeleton } from "../onnx/skeleton.ts";
import { validateBytes, validateModel } from "../onnx/validate.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { ModelFile } from "../shared/model-file.ts";
import type { ExternalFile, PatchDescription, PatchedModel, TapKind } from "../shared/patched-model.ts";
import type { DetectorDefaults } from "./defaults.ts";
import { describeModel } from "./describe.ts";
import { fingerprint } from "./fingerprint.ts";
import { instrumentGraph } from "./instrument-graph.ts";

export interface InstrumentOptions {
  /** Extra outputs of a `collect` build; none for serving. */
  readonly taps?: readonly TapKind[];
  /**
   * Makes one file for other servers: weights inside, and this detector and mode as defaults of inputs that may be left
   * out. Node's runtime ignores inputs with a default, so such a file is not for our own engine.
   */
  readonly standalone?: DetectorDefaults;
  /** Keeps the weights inside the patched file instead of pointing into the original. */
  readonly selfContained?: boolean;
}

/** What the scanner says of a model file. */
export interface ModelScan {
  readonly model: ModelProto;
  readonly scan: ScanResult;
  readonly description: PatchDescription;
  readonly external: readonly ExternalFile[];
}

/**
 * Checks and scans a model file without changing anything.
 * @throws AtPatchError ATPATCH_BAD_MODEL, or ATPATCH_MODEL_REFUSED for versions that cannot be run
 */
export function scanModel(file: ModelFile, options: { readonly weightsInside?: boolean } = {}): ModelScan {
  validateBytes(file.bytes);
  const model = options.weightsInside ? decodeModel(file.bytes) : decodeSkeleton(file.bytes, file.name);
  validateModel(model);
  // Before anything changes the model; with the weights inside it is no skeleton.
  const identity = options.weightsInside ? fingerprint(file) : fingerprint(file, model);
  const scan = prepareModel(model);
  return {
    model,
    scan,
    description: describeModel(model, scan.sites, identity),
    external: externalFiles(model),
  };
}

/**
 * Instruments a model. No I/O; `file.bytes` is not changed.
 * @throws AtPatchError ATPATCH_BAD_MODEL, or ATPATCH_MODEL_REFUSED with the nearest miss when no site was found
 */
export function instrument(file: ModelFile, options: InstrumentOptions = {}): PatchedModel {
  const weightsInside = options.selfContained === true || options.standalone !== undefined;
  const { model, scan, description, external } = scanModel(file, { weightsInside });
  if (scan.sites.length === 0) throw new AtPatchError("ATPATCH_MODEL_REFUSED", refusal(scan.nearMisses));
  instrumentGraph(model, scan.sites, options.taps ?? [], options.standalone);
  return { description, bytes: encodeModel(model), external };
}

function externalFiles(model: ModelProto): ExternalFile[] {
  const bytes = new Map<string, number>();
  for (const { location, offset, length } of externalTensors(model)) {
    bytes.set(location, Math.max(bytes.get(location) ?? 0, offset + (length ?? 0)));
  }
  return [...bytes].map(([location, size]) => ({ location, bytes: size }));
}

/** One sentence on why a model without a site is refused. */
export function refusal(nearMisses: readonly NearMiss[]): string {
  const best = nearMisses[0];
  return best
    ? `no attention map that can be patched was found; the nearest miss is node "${best.node}": ${best.reason}`
    : "no attention map that can be patched was found: the model has no softmax between two products of activations";
}
