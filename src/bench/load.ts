/**
 * `npm run load`: time and peak memory to load a large single-file model, onnxruntime by path against AtPatch with one
 * worker. Every load runs in a process of its own; the two take turns.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { randomVit } from "../test/random-vit.ts";
import { median, ratio } from "./statistics.ts";

interface Load {
  readonly ms: number;
  readonly peakMiB: number;
}

const options = new Command("load")
  .description("Load a 400 MB model bare and behind AtPatch; compare time and peak memory.")
  .option("--rounds <n>", "loads of each kind", Number, 5)
  .option("--layers <n>", "layers of 48 MB", Number, 8)
  .parse();
const { rounds, layers } = options.opts<{ rounds: number; layers: number }>();

const scratch = mkdtempSync(join(tmpdir(), "atpatch-load-"));
try {
  const file = join(scratch, "model.onnx");
  writeFileSync(
    file,
    randomVit({ image: 32, patch: 8, width: 1024, heads: 16, layers, mlpRatio: 4, classes: 10 }),
  );
  const loads = new Map<string, Load[]>([
    ["bare", []],
    ["atpatch", []],
  ]);
  for (let round = 0; round < rounds; round++) {
    for (const [kind, list] of loads) list.push(runChild(kind, file));
  }
  const column = (kind: string, key: keyof Load): number[] =>
    (loads.get(kind) ?? []).map((load) => load[key]);
  console.log(`one file of ${Math.round(statSync(file).size / 2 ** 20)} MiB, ${rounds} rounds`);
  console.table(
    (["ms", "peakMiB"] as const).map((key) => ({
      what: key === "ms" ? "time, ms" : "peak memory, MiB",
      "onnxruntime by path": Math.round(median(column("bare", key))),
      AtPatch: Math.round(median(column("atpatch", key))),
      ratio: Number(ratio(column("atpatch", key), column("bare", key)).median.toFixed(2)),
    })),
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function runChild(kind: string, file: string): Load {
  const child = fileURLToPath(new URL("load-once.mjs", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [child, kind, file], { encoding: "utf8" })) as Load;
}
