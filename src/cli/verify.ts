/** `verify`: the patched model against the original, side by side. */
import { Command, Option } from "commander";
import { openBareSession } from "../engine/bare-session.ts";
import { scanModel } from "../hotfix/instrument.ts";
import { DataType, type ModelProto } from "../onnx/model.ts";
import { readSafetensors, writeSafetensors } from "../shared/safetensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import { randomInputs } from "../verification/random-inputs.ts";
import { rowSumTolerance, verify, type Verification } from "../verification/verify.ts";
import { natural } from "./arguments.ts";
import { readBytes, writeWhole } from "./files.ts";
import { table } from "./format.ts";
import { openBatchEngine, openModel, withEngine } from "./opened-model.ts";
import { exitCodes, type Context } from "./run.ts";

interface VerifyOptions {
  readonly inputs?: string;
  readonly maps?: string;
  readonly tolerance?: number;
  readonly batch: number;
  readonly length: number;
  readonly vocabulary: number;
  readonly seed: number;
  readonly json?: boolean;
}

export function verifyCommand(context: Context): Command {
  return new Command("verify")
    .description("run the original and the patched model side by side and compare")
    .argument("<model>", "a model folder or an .onnx file")
    .option(
      "--inputs <file>",
      "safetensors with one tensor per model input, batch first; made up when absent",
    )
    .option("--maps <file>", "write every attention map to this safetensors file, as site<i> [B,H,Tq,Tk]")
    .addOption(
      new Option(
        "--tolerance <number>",
        "largest difference of an output, absolute or relative (default: 1e-4, 2e-2 for half precision and quantised models)",
      ).argParser(Number),
    )
    .option("--batch <n>", "samples of made-up inputs", natural, 4)
    .option("--length <n>", "length of dimensions that vary, for made-up inputs", natural, 16)
    .option("--vocabulary <n>", "made-up token ids are below this", natural, 50)
    .option("--seed <n>", "seed of made-up inputs", natural, 0)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Checked are: outputs with nothing flagged against the original; the bits of unflagged samples beside flagged ones; the
row sums of maps with a column forced. Exit code 1 when one of them fails, 3 when the model cannot be patched.

Examples:
  $ atpatch verify models/gtsrb-vit
  $ atpatch verify exported/model.onnx --inputs inputs.safetensors --maps maps.safetensors --json`,
    )
    .action(async (path: string, options: VerifyOptions) => {
      const model = await openModel(path);
      const { model: graph } = scanModel(model.file);
      const tolerance = options.tolerance ?? defaultTolerance(graph);
      const engine = await openBatchEngine(model, { taps: ["map", "patched"], recheck: false });
      const result = await withEngine(engine, async () => {
        const inputs = options.inputs
          ? Object.fromEntries(readSafetensors(await readBytes(options.inputs)).tensors)
          : randomInputs(engine.description.inputs, options);
        const original = await openBareSession(model.path, 1);
        try {
          return await verify({ original, engine, inputs, tolerance });
        } finally {
          await original.close();
        }
      });
      if (options.maps) await writeMaps(options.maps, result.maps);
      const { maps: _, ...document } = result;
      context
        .output(options)
        .result({ model: model.folder.name, ...document }, () => verificationText(document));
      if (!result.passed) context.exitWith(exitCodes.failed);
    });
}

/** Half precision and 8-bit products round differently once the graph around them changes. */
function defaultTolerance({ graph }: ModelProto): number {
  const halved = graph?.initializer.some(
    ({ dataType }) => dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16,
  );
  const quantised = graph?.node.some(({ opType }) => /Quantize|Integer|^QLinear|^QAttention/.test(opType));
  return halved || quantised ? 2e-2 : 1e-4;
}

async function writeMaps(path: string, maps: readonly Tensor[]): Promise<void> {
  await writeWhole(path, [writeSafetensors(new Map(maps.map((map, site) => [`site${site}`, map])))]);
}

function verificationText(result: Omit<Verification, "maps">): string {
  const mark = (good: boolean): string => (good ? "ok  " : "FAIL");
  const { worst, tolerance, mixedBatch, forced } = result;
  const coupled = mixedBatch.coupledOutputs;
  return `${table([
    [
      mark(worst.either <= tolerance),
      "outputs with nothing flagged against the original",
      `max difference ${worst.absolute.toExponential(1)}, tolerance ${tolerance}`,
    ],
    [mark(result.unflaggedIdentical), "nothing flagged against mode off", "bit for bit"],
    [
      mark(mixedBatch.identical),
      "unflagged samples beside flagged ones",
      `${mixedBatch.unflaggedSamples} of ${result.samples} samples, bit for bit`,
    ],
    [
      mark(forced.rowSumError <= rowSumTolerance),
      `row sums with a forced column at ${result.sites} sites`,
      `max change ${forced.rowSumError.toExponential(1)}`,
    ],
  ])}
${coupled.length > 0 ? `The original itself mixes the samples of a batch in: ${coupled.join(", ")}.\n` : ""}${
    forced.changesOutput ? "" : "Note: the forced column changed no output.\n"
  }`;
}
