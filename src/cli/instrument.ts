/** `instrument`: a patched model in one file, for servers that know nothing of AtPatch. */
import { Command, Option } from "commander";
import { readFile } from "node:fs/promises";
import { checkFits, parseBundle, type Bundle } from "../detector/bundle.ts";
import { neutralTensors } from "../detector/neutral.ts";
import { instrument } from "../hotfix/instrument.ts";
import type { Mode } from "../shared/patched-model.ts";
import { checkExternalData } from "../tasks/external-data.ts";
import { readBundle, writeWhole } from "./files.ts";
import { inlineWeights } from "./inline-weights.ts";
import { openModel, type OpenedModel } from "./opened-model.ts";
import type { Context } from "./context.ts";

interface Options {
  readonly out: string;
  readonly detector?: string;
  readonly mode: Mode;
  readonly json?: boolean;
}

export function instrumentCommand(context: Context): Command {
  return new Command("instrument")
    .description("write a self-contained patched model for another ONNX server")
    .argument("<model>", "a model folder or an .onnx file")
    .requiredOption("--out <file>", "the .onnx file to write")
    .option(
      "--detector <bundle>",
      "detector to build in; default: the last one in the model's folder, else none",
    )
    .addOption(
      new Option("--mode <mode>", "mode of requests that name none")
        .choices(["off", "observe", "enforce"])
        .default("enforce"),
    )
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
The file holds the weights, the hot-fix as a function of ordinary ONNX operators, and the detector as default values of
optional inputs named "atpatch.…": a server that feeds those inputs can swap the detector, all others serve it as it is.

Examples:
  $ atpatch instrument models/gtsrb-vit --out patched.onnx
  $ atpatch instrument model.onnx --detector patch.safetensors --mode observe --out patched.onnx`,
    )
    .action(async (path: string, options: Options) => {
      const output = context.output(options);
      const model = await openModel(path);
      const { description, external } = instrument(model.file);
      await checkExternalData(model.directory, external);
      const bundle = options.detector ? await readBundle(options.detector) : await shippedBundle(model);
      if (bundle) checkFits(bundle, description);
      const detector = bundle?.tensors ?? neutralTensors(description.sites.length);
      const { bytes } = instrument(await inlineWeights(model), {
        standalone: { detector, mode: options.mode },
      });
      await writeWhole(options.out, [bytes]);
      const document = {
        out: options.out,
        bytes: bytes.length,
        sites: description.sites.length,
        detector: bundle?.id ?? null,
        mode: options.mode,
      };
      output.result(
        document,
        () =>
          `${options.out}: ${bytes.length} bytes, ${document.sites} sites, detector ${document.detector ?? "none"}, mode ${options.mode}\n`,
      );
    });
}

/** The last bundle in the model's folder, by name; null when there is none. */
export async function shippedBundle({ folder }: OpenedModel): Promise<Bundle | null> {
  const last = folder.detectors.at(-1);
  return last ? parseBundle(await readFile(last.absolute)) : null;
}
