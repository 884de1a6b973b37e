/**
 * What must hold before the runtime may see a model: some broken files crash or hang it. Every check is linear in the
 * size of the graph and says in one sentence what is wrong with which node or tensor.
 */
import { AtPatchError } from "../shared/errors.ts";
import { checkFunctionBody, checkGraph } from "./check-graph.ts";
import { checkFunctions } from "./check-functions.ts";
import { checkTensors } from "./check-tensors.ts";
import { externalTensors } from "./external-files.ts";
import type { ModelProto } from "./model.ts";
import { isStandard } from "./walk.ts";
import { scanWire } from "./wire-scan.ts";

/** What onnxruntime 1.30 accepts. */
export const supportedOpsets = { least: 7, most: 26 } as const;
export const supportedIrVersions = { least: 3, most: 13 } as const;

/**
 * Checks the bytes of a file before they are decoded.
 * @throws AtPatchError ATPATCH_BAD_MODEL
 */
export function validateBytes(bytes: Uint8Array): void {
  if (bytes.length === 0) throw bad("the model file is empty");
  if (startsWith(bytes, "version https://git-lfs")) {
    throw bad("the model file is a Git LFS pointer, not the model itself: fetch it with `git lfs pull`");
  }
  scanWire(bytes);
}

/**
 * Checks a decoded model.
 * @throws AtPatchError ATPATCH_BAD_MODEL for broken files, ATPATCH_MODEL_REFUSED for versions that cannot be run
 */
export function validateModel(model: ModelProto): void {
  if (!model.graph || (model.graph.node.length === 0 && model.graph.output.length === 0)) {
    throw bad("this is no ONNX model: it holds no graph");
  }
  checkVersions(model);
  checkFunctions(model);
  for (const body of model.functions) checkFunctionBody(body);
  checkGraph(model.graph);
  checkTensors(model);
  externalTensors(model);
}

function checkVersions(model: ModelProto): void {
  const ir = Number(model.irVersion);
  if (ir < supportedIrVersions.least || ir > supportedIrVersions.most) {
    throw refused(`IR version ${ir}`, supportedIrVersions);
  }
  const imports = model.opsetImport.filter(({ domain }) => isStandard(domain));
  const opset = imports[0];
  if (!opset) throw bad("the model does not say which opset of ai.onnx it uses");
  for (const { version } of imports) {
    if (version !== opset.version)
      throw bad(`the model imports ai.onnx twice, as ${opset.version} and ${version}`);
  }
  const version = Number(opset.version);
  if (version < supportedOpsets.least || version > supportedOpsets.most) {
    throw refused(`opset ${version}`, supportedOpsets);
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return text.split("").every((letter, i) => bytes[i] === letter.charCodeAt(0));
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", message);
}

function refused(what: string, range: { readonly least: number; readonly most: number }): AtPatchError {
  return new AtPatchError(
    "ATPATCH_MODEL_REFUSED",
    `the model uses ${what}; ${range.least} to ${range.most} are supported: export the model again`,
  );
}
