/**
 * `npm run zoo:infer -- DIR`: serves the supported fixtures of a folder and sends each its own inputs over the Open
 * Inference Protocol, in JSON and what has no JSON form as binary data; the answers are held against the expected outputs.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { composeServer } from "../compose.ts";
import { drain } from "../serve.ts";
import { resolveSettings } from "../settings.ts";
import type { Tensor } from "../shared/tensor.ts";
import { restDriver, type PlainAnswer } from "../test/oip-drivers.ts";
import { fixturesIn, numbersOf, tensorsOf, truthOf, type Fixture } from "../test/zoo.ts";
import { distance, toleranceOf } from "./distance.ts";

const program = new Command("zoo:infer")
  .description("Serve ONNX fixtures and ask each for its expected outputs over OIP.")
  .argument("<folder>", "folder of fixtures")
  .option("--only <text>", "only fixtures whose name contains this", "")
  .parse();
const folder = program.args[0] as string;
const { only } = program.opts<{ only: string }>();
const scratch = mkdtempSync(join(tmpdir(), "atpatch-zoo-infer-"));

const fixtures = fixturesIn(folder).filter(
  ({ name, verdict }) => name.includes(only) && verdict === "supported",
);
let right = 0;
try {
  for (const fixture of fixtures) {
    const line = await ask(fixture).catch((error: unknown) => String(error));
    if (line.startsWith("ok")) right++;
    console.log(`${fixture.name.padEnd(44)} ${line}`);
  }
  console.log(`\n${right} of ${fixtures.length} answered as expected`);
  process.exitCode = right === fixtures.length ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Serves one fixture and compares its answer. */
async function ask(fixture: Fixture): Promise<string> {
  const { name } = fixture;
  const models = join(scratch, name);
  mkdirSync(models);
  cpSync(fixture.folder, join(models, name), { recursive: true });
  const settings = resolveSettings(
    { models, state: join(scratch, `${name}-state`), workers: "1", threads: "1", logLevel: "silent" },
    {},
  );
  const server = await composeServer(settings);
  try {
    const origin = await server.app.listen({ host: "127.0.0.1", port: 0 });
    const driver = restDriver(origin, "JSON", (datatype) => !hasJsonForm(datatype));
    const { inputs, outputs } = server.services.models.get(name).engine.description;
    const given = tensorsOf(fixture, "inputs");
    const answer = await driver.infer({
      model: name,
      inputs: inputs.map((input) => ({ name: input.name, tensor: given.get(input.name)! })),
      outputs: outputs.map(({ name: output, datatype }) => ({ name: output, datatype })),
    });
    return answer.error === undefined ? await compare(answer, fixture) : `${answer.code} ${answer.error}`;
  } finally {
    await drain(server, 0);
  }
}

function hasJsonForm(datatype: string): boolean {
  return datatype !== "FP16" && datatype !== "BF16";
}

async function compare(answer: PlainAnswer, fixture: Fixture): Promise<string> {
  const { outputs: expected } = await truthOf(fixture);
  let worst = 0;
  for (const [name, tensor] of expected) {
    const actual = answer.outputs?.find((output) => output.name === name)?.tensor as Tensor | undefined;
    if (actual?.data.length !== tensor.data.length) return `output ${name} is missing or has another size`;
    worst = Math.max(worst, distance(numbersOf(actual), numbersOf(tensor)).either);
  }
  const verdict = worst <= toleranceOf(fixture.name) ? "ok" : "wrong";
  return `${verdict}, ${expected.size} outputs within ${worst.toExponential(1)}`;
}
