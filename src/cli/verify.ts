/** `verify`: proof on concrete inputs that instrumenting a model changes nothing that it should not. */
import { Command } from "commander";
import { natural } from "./arguments.ts";
import { exitCodes, type Context } from "./context.ts";
import { small, table } from "./format.ts";
import { openModel } from "./opened-model.ts";
import { verify, type Verification, type VerifyOptions } from "./verification.ts";

interface Options extends VerifyOptions {
  readonly json?: boolean;
}

export function verifyCommand(context: Context): Command {
  return new Command("verify")
    .description("run the original and the instrumented model side by side and compare")
    .argument("<model>", "a model folder or an .onnx file")
    .option("--inputs <file>", "safetensors with one tensor for each input; default: seeded random ones")
    .option("--maps <file>", "write the attention map of every site as site<i>, [B,H,Tq,Tk]")
    .option("--outputs <file>", "write the outputs of the instrumented model with nothing flagged")
    .option("--seed <number>", "seed of random inputs", natural, 0)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Checks: outputs with nothing flagged equal the original's (1e-4); in a mixed batch, samples without a flagged column keep
every bit; with forced columns each row of a map keeps its sum (1e-5), nothing is negative and masked entries stay 0.
Exit code 1 when a check fails.

Examples:
  $ atpatch verify models/gtsrb-vit
  $ atpatch verify model.onnx --inputs inputs.safetensors --maps maps.safetensors --json`,
    )
    .action(async (path: string, options: Options) => {
      const output = context.output(options);
      const model = await openModel(path);
      const verification = await verify(model, options, (stage) => output.progress(stage, 0, 0));
      output.result(verification, () => verificationText(model.folder.name, verification));
      if (!verification.passed) context.exitWith(exitCodes.failed);
    });
}

function verificationText(name: string, verification: Verification): string {
  const { row_sums: sums, unflagged_bit_identical: identical } = verification;
  return `${name}: ${verification.passed ? "sound" : "NOT SOUND"} on ${verification.samples} ${verification.inputs} samples, ${verification.sites} sites

Nothing flagged, against the original (largest difference)
${table(verification.outputs.map((each) => [each.name, `absolute ${small(each.max_abs)}`, `relative ${small(each.max_rel)}`]))}
Mixed batch
${table([
  ["nothing flagged", verification.quiet_bit_identical ? "bit for bit mode off" : "CHANGED"],
  [
    "unflagged samples",
    identical === null
      ? "not checked: the batch has one sample"
      : identical
        ? "bit for bit those of mode off"
        : "CHANGED",
  ],
  ...(verification.coupled_outputs.length > 0
    ? [["left out: the original mixes samples in", verification.coupled_outputs.join(", ")]]
    : []),
])}
Forced columns, maps of all sites
${table([
  ["row sum against before", small(sums.max_deviation)],
  ["row sum against 1", small(sums.max_from_one)],
  ["smallest entry", small(sums.lowest)],
  ["largest masked entry", small(sums.masked)],
])}
`;
}
