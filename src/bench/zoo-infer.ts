/**
 * `npm run zoo:infer -- DIR`: serves the supported fixtures of a folder and sends each its own inputs over the Open
 * Inference Protocol; the answers are held against the expected outputs.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { composeServer } from "../compose.ts";
import { resolveSettings } from "../settings.ts";
import { readSafetensors } from "../shared/safetensors.ts";
import type { Tensor } from "../shared/tensor.ts";

const program = new Command("zoo:infer")
  .description("Serve ONNX fixtures and ask each for its expected outputs over OIP.")
  .argument("<folder>", "folder of fixtures")
  .option("--only <text>", "only fixtures whose name contains this", "")
  .parse();
const folder = program.args[0] as string;
const { only } = program.opts<{ only: string }>();
const scratch = mkdtempSync(join(tmpdir(), "atpatch-zoo-infer-"));

interface Answer {
  readonly error?: string;
  readonly outputs?: readonly { readonly name: string; readonly data: readonly number[] }[];
}

const names = readdirSync(folder)
  .toSorted()
  .filter((name) => name.includes(only) && existsSync(join(folder, name, "expected.safetensors")))
  .filter((name) => existsSync(join(folder, name, "expected_maps.safetensors")));
let right = 0;
try {
  for (const name of names) {
    const line = await ask(name).catch((error: unknown) => String(error));
    if (line.startsWith("ok")) right++;
    console.log(`${name.padEnd(44)} ${line}`);
  }
  console.log(`\n${right} of ${names.length} answered as expected`);
  process.exitCode = right === names.length ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Serves one fixture and compares its answer. */
async function ask(name: string): Promise<string> {
  const models = join(scratch, name);
  mkdirSync(models);
  cpSync(join(folder, name), join(models, name), { recursive: true });
  const settings = resolveSettings(
    { models, state: join(scratch, `${name}-state`), workers: "1", threads: "1", logLevel: "silent" },
    {},
  );
  const server = await composeServer(settings);
  try {
    const origin = await server.app.listen({ host: "127.0.0.1", port: 0 });
    const inputs = [...tensors(join(folder, name, "inputs.safetensors"))].map(([input, tensor]) => ({
      name: input,
      datatype: tensor.datatype,
      shape: tensor.shape,
      data: Array.from(tensor.data as ArrayLike<number | bigint>, (x) =>
        tensor.datatype === "BOOL" ? x === 1 : Number(x),
      ),
    }));
    const response = await fetch(`${origin}/v2/models/${name}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs }),
    });
    const answer = (await response.json()) as Answer;
    if (answer.error !== undefined) return `${response.status} ${answer.error}`;
    return compare(
      answer,
      tensors(join(folder, name, "expected.safetensors")),
      /int8|qdq|qatt|qoper|fp16/.test(name),
    );
  } finally {
    await server.app.close();
    await server.close();
  }
}

function compare(answer: Answer, expected: ReadonlyMap<string, Tensor>, reduced: boolean): string {
  let worst = 0;
  for (const [name, { data }] of expected) {
    const actual = answer.outputs?.find((output) => output.name === name)?.data ?? [];
    if (actual.length !== data.length) return `output ${name} is missing or has another size`;
    let [largest, gap] = [1e-9, 0];
    for (let i = 0; i < data.length; i++) {
      const wanted = Number(data[i]);
      largest = Math.max(largest, Math.abs(wanted));
      gap = Math.max(gap, Math.abs(Number(actual[i]) - wanted));
    }
    worst = Math.max(worst, Math.min(gap, gap / largest));
  }
  return `${worst <= (reduced ? 2e-2 : 1e-4) ? "ok" : "wrong"}, ${expected.size} outputs within ${worst.toExponential(1)}`;
}

function tensors(path: string): ReadonlyMap<string, Tensor> {
  return readSafetensors(Uint8Array.from(readFileSync(path))).tensors;
}
