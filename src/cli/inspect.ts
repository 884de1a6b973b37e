/** `inspect`: whether a model can be patched, where, and what was concluded about it. */
import { Command } from "commander";
import type { NearMiss } from "../attention/site.ts";
import { checkPatchable } from "../hotfix/instrument-graph.ts";
import { refusal, scanModel } from "../hotfix/instrument.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { PatchDescription, SiteDescription } from "../shared/patched-model.ts";
import type { TensorInfo } from "../shared/tensor.ts";
import { inferTaskKind } from "../tasks/create-task.ts";
import { checkExternalData } from "../tasks/external-data.ts";
import { table } from "./format.ts";
import { openModel, type OpenedModel } from "./opened-model.ts";
import { exitCodes, type Context } from "./context.ts";

/** The document of `inspect --json`. */
export interface Inspection {
  readonly verdict: "supported" | "refused";
  readonly reason: string | null;
  readonly name: string | null;
  readonly model: string | null;
  readonly fingerprint: string | null;
  readonly task: string | null;
  readonly labels: readonly string[] | null;
  readonly sites: readonly SiteDescription[];
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Normalisations that are no attention sites, and why; the nearest miss first. */
  readonly not_patched: readonly NearMiss[];
  readonly detectors: readonly string[];
  /** What no file of the folder says outright, and from where it was concluded. */
  readonly inferred: readonly { readonly what: string; readonly value: unknown; readonly from: string }[];
}

export function inspectCommand(context: Context): Command {
  return new Command("inspect")
    .description("say whether a model can be patched, where its attention sites are and what was inferred")
    .argument("<model>", "a model folder or an .onnx file")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Nothing is run and nothing is written. Exit code 3 when the model cannot be patched; the reason names the node.

Examples:
  $ atpatch inspect models/gtsrb-vit
  $ atpatch inspect exported/model.onnx --json | jq '.sites | length'`,
    )
    .action(async (path: string, options: { json?: boolean }) => {
      const inspection = await inspect(path);
      context.output(options).result(inspection, () => inspectionText(path, inspection));
      if (inspection.verdict === "refused") context.exitWith(exitCodes.refused);
    });
}

/** @throws AtPatchError only when there is nothing to look at */
export async function inspect(path: string): Promise<Inspection> {
  let opened: OpenedModel | null = null;
  try {
    opened = await openModel(path);
    const { scan, description, external } = scanModel(opened.file);
    await checkExternalData(opened.directory, external);
    const task = inferTaskKind(opened.folder, description);
    const found = { ...described(opened, description, task), not_patched: scan.nearMisses };
    if (scan.sites.length > 0) checkPatchable(scan.sites);
    return scan.sites.length > 0
      ? { ...found, verdict: "supported", reason: null }
      : { ...found, verdict: "refused", reason: refusal(scan.nearMisses) };
  } catch (error) {
    const refused =
      error instanceof AtPatchError &&
      (error.code === "ATPATCH_MODEL_REFUSED" || error.code === "ATPATCH_BAD_MODEL");
    if (!refused) throw error;
    return { ...described(opened, null, null), verdict: "refused", reason: error.message };
  }
}

/** What is known of the model besides the verdict. */
function described(
  opened: OpenedModel | null,
  description: PatchDescription | null,
  task: ReturnType<typeof inferTaskKind> | null,
): Omit<Inspection, "verdict" | "reason"> {
  const folder = opened?.folder;
  return {
    name: folder?.name ?? null,
    model: folder?.model.relative ?? null,
    fingerprint: description?.fingerprint ?? null,
    task: task?.value ?? null,
    labels: folder?.labels ?? null,
    sites: description?.sites ?? [],
    inputs: description?.inputs ?? [],
    outputs: description?.outputs ?? [],
    not_patched: [],
    detectors: folder?.detectors.map(({ relative }) => relative) ?? [],
    inferred: [...(folder?.inferred ?? []), ...(task && !folder?.settings.task ? [task] : [])],
  };
}

function inspectionText(path: string, inspection: Inspection): string {
  const { verdict, reason, sites } = inspection;
  const name = inspection.name ?? path;
  if (verdict === "refused") return `${name}: cannot be patched\n  ${reason}\n`;
  const tensors = (list: readonly TensorInfo[]): string =>
    list
      .map((info) => `${info.name} ${info.datatype} [${info.shape.map((dim) => dim ?? "?").join(", ")}]`)
      .join("; ");
  const concluded = inspection.inferred.filter(({ what }) => what !== "labels");
  return `${name}: can be patched at ${sites.length} attention site${sites.length === 1 ? "" : "s"}
${table([
  ["task", inspection.task ?? ""],
  ["labels", inspection.labels ? `${inspection.labels.length}, from "${inspection.labels[0]}"` : "unknown"],
  ["inputs", tensors(inspection.inputs)],
  ["outputs", tensors(inspection.outputs)],
  ["detectors", inspection.detectors.join(", ") || "none shipped"],
  ["fingerprint", inspection.fingerprint ?? ""],
])}

${table([
  ["site", "layer", "kind", "form", "map", "heads", "axis", "mask", "node"],
  ...sites.map((site) => [
    String(site.index),
    String(site.layer),
    site.kind,
    site.form,
    site.dims,
    String(site.heads ?? "?"),
    String(site.axis),
    site.mask,
    site.node,
  ]),
])}
${inspection.not_patched.length > 0 ? `\nLeft as they are:\n${table(inspection.not_patched.map(({ node, reason: why }) => [node, why]))}\n` : ""}
Inferred:
${table(concluded.map(({ what, value, from }) => [what, JSON.stringify(value), `from ${from}`]))}
`;
}
