/**
 * `npm run zoo -- DIR`: runs `inspect` and `verify` on every fixture of a folder of ONNX models with ground truth, one line
 * each and a total. Every fixture gets processes of its own, so that a crash or a hang costs one line.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { readSafetensors } from "../shared/safetensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import { fixturesIn, numbersOf, truthOf, type Fixture } from "../test/zoo.ts";
import { distance, toleranceOf } from "./distance.ts";
import { standaloneFault } from "./standalone.ts";

interface Inspection {
  readonly verdict: "supported" | "refused";
  readonly reason: string | null;
  readonly sites: readonly { readonly kind: string }[];
}
interface Verified {
  readonly passed: boolean;
  readonly quiet_bit_identical: boolean;
  readonly unflagged_bit_identical: boolean | null;
  readonly forced_changes_output: boolean;
  readonly row_sums: { readonly max_deviation: number };
  readonly error?: string;
}

const program = new Command("zoo")
  .description(
    "Inspect and verify every fixture of a folder (model.onnx, manifest.json, inputs and expected tensors).",
  )
  .argument("<folder>", "folder of fixtures")
  .option("--only <text>", "only fixtures whose name contains this")
  .option("--plain", "only plain-softmax fixtures of the main graph, not quantised")
  .option(
    "--standalone",
    "compare the file for other servers with the engine's graph too, with columns flagged",
  )
  .option("--jobs <n>", "fixtures at a time", Number, 2)
  .parse();
const options = program.opts<{ only?: string; plain?: boolean; standalone?: boolean; jobs: number }>();
const folder = program.args[0] as string;
const scratch = mkdtempSync(join(tmpdir(), "atpatch-zoo-"));
const timeoutMs = 60_000;

try {
  const queue = fixturesIn(folder)
    .filter(({ name }) => !options.only || name.includes(options.only))
    .filter((fixture) => !options.plain || isPlain(fixture));
  const lines: { name: string; good: boolean; text: string }[] = [];
  const work = async (): Promise<void> => {
    for (let fixture = queue.shift(); fixture !== undefined; fixture = queue.shift()) {
      const { name } = fixture;
      const began = performance.now();
      const text = await check(fixture);
      const good = text.startsWith("ok");
      lines.push({ name, good, text });
      console.log(
        `${good ? "ok  " : "FAIL"}  ${name.padEnd(44)} ${text}  (${((performance.now() - began) / 1000).toFixed(1)} s)`,
      );
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
  const right = lines.filter(({ good }) => good).length;
  console.log(`\n${right} of ${lines.length} fixtures right`);
  for (const { name, good } of lines) if (!good) console.log(`  wrong: ${name}`);
  process.exitCode = right === lines.length ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function isPlain({ name, sites }: Fixture): boolean {
  return (
    sites.length > 0 &&
    !/int8|qdq|qoperator/.test(name) &&
    sites.every(({ form, where }) => ["softmax", "exp-sum-div"].includes(form) && where === "main")
  );
}

/** "ok …", or what is wrong. */
async function check(fixture: Fixture): Promise<string> {
  const model = join(fixture.folder, "model.onnx");
  const seen = await cli(["inspect", model]);
  if (typeof seen.document === "string") return `inspect: ${seen.document}`;
  const { verdict, reason, sites } = seen.document as Inspection;
  if (verdict === "refused") {
    if (seen.code !== 3) return `inspect refused with exit code ${seen.code}`;
    return fixture.verdict === "refuse" ? `ok, refused: ${reason}` : `refused: ${reason}`;
  }
  if (fixture.verdict === "refuse" && !/also accepted/.test(fixture.reason ?? "")) {
    return `found ${sites.length} sites; to be refused: ${fixture.reason}`;
  }
  if (fixture.verdict === "refuse") return "ok, accepted where both answers count";
  const [kinds, wanted] = [sites, fixture.sites].map((list) => list.map(({ kind }) => kind).join(" "));
  if (kinds !== wanted) return `sites "${kinds}", expected "${wanted}"`;
  return verifyFixture(model, fixture);
}

async function verifyFixture(model: string, fixture: Fixture): Promise<string> {
  const { name, sites } = fixture;
  const [maps, outputs] = [join(scratch, `${name}.maps`), join(scratch, `${name}.outputs`)];
  const inputs = join(fixture.folder, "inputs.safetensors");
  const run = await cli(["verify", model, "--inputs", inputs, "--maps", maps, "--outputs", outputs]);
  if (typeof run.document === "string") return `verify: ${run.document}`;
  const result = run.document as Verified;
  if (result.error) return `verify: ${result.error}`;
  const faults: string[] = [];
  if (!result.passed) faults.push("verify says no");
  if (!result.quiet_bit_identical) faults.push("nothing flagged differs from mode off");
  if (result.unflagged_bit_identical === false) faults.push("a flagged sample reaches its neighbour");
  if (!result.forced_changes_output) faults.push("a forced column changes nothing");
  const tolerance = toleranceOf(name);
  const patched = read(outputs);
  const truth = await truthOf(fixture);
  const answers = [...truth.outputs].map(
    ([output, expected]) => between(patched.get(output), expected).either,
  );
  const worst = Math.max(0, ...answers);
  if (worst > tolerance) faults.push(`outputs differ by ${worst.toExponential(1)}`);
  const found = read(maps);
  const gaps =
    truth.maps === null
      ? []
      : sites.map((_, site) => between(found.get(`site${site}`), truth.maps!.get(`site${site}`)).absolute);
  const worstMap = Math.max(0, ...gaps);
  // The truth of a fused and quantised operator is the map of the float model: near, not equal.
  const ofFloatModel = sites.some(({ form }) => form === "QAttention");
  if (worstMap > (ofFloatModel ? 0.1 : tolerance)) faults.push(`maps differ by ${worstMap.toExponential(1)}`);
  if (options.standalone) {
    const fault = await standaloneFault(model, read(inputs), tolerance).catch(String);
    if (fault !== null) faults.push(fault);
  }
  const mapped = truth.maps === null ? "not comparable on this processor" : worstMap.toExponential(1);
  const figures = `${sites.length} sites, outputs ${worst.toExponential(1)}, maps ${mapped}, row sums ${result.row_sums.max_deviation.toExponential(1)}`;
  return faults.length === 0 ? `ok, ${figures}` : `${faults.join("; ")} (${figures})`;
}

function between(actual: Tensor | undefined, expected: Tensor | undefined): ReturnType<typeof distance> {
  const same = actual && expected && actual.shape.join() === expected.shape.join();
  return same ? distance(numbersOf(actual), numbersOf(expected)) : { absolute: Infinity, either: Infinity };
}

function read(path: string): ReadonlyMap<string, Tensor> {
  return readSafetensors(Uint8Array.from(readFileSync(path))).tensors;
}

/** Runs the built command line; the document is a sentence when there is none. */
function cli(args: readonly string[]): Promise<{ code: number | null; document: unknown }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ["dist/cli/main.js", ...args, "--json"],
      { timeout: timeoutMs, maxBuffer: 64 << 20 },
      (error, stdout, stderr) => {
        const code = child.exitCode;
        try {
          resolve({ code, document: JSON.parse(stdout) as unknown });
        } catch {
          const why = child.signalCode
            ? `ended by ${child.signalCode}`
            : stderr || (error?.message ?? "no answer");
          resolve({ code, document: why.trim().slice(-200) });
        }
      },
    );
  });
}
