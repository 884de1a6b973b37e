/**
 * `npm run bench`: what AtPatch costs against the same model in its own worker without AtPatch. All contestants run in turn
 * inside one process, so that the machine's mood hits them alike; the figures to quote are the ratios.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { silenceRuntime } from "../engine/runtime-telemetry.ts";
import { benchModels } from "./bench-models.ts";
import { contestants, type BenchModel } from "./contestants.ts";
import { measureResponsiveness } from "./responsiveness.ts";
import { median, quantile, ratio } from "./statistics.ts";

/** How long one contestant runs before the next one does, in ms; a single run may take longer. */
const blockMs = 20;

const options = new Command("bench")
  .description("Latency of a patched model against the bare runtime, interleaved in one run.")
  .option("--seconds <n>", "time for each model and batch size", Number, 25)
  .option("--threads <n>", "intra-op threads of every session", Number, 1)
  .option("--batch <list>", "batch sizes", "1,8")
  .option("--only <name>", "only models whose name contains this")
  .option("--no-responsiveness", "leave out how health and metrics answer during a long inference")
  .option("--json <file>", "also write the figures to this file")
  .parse()
  .opts<{
    seconds: number;
    threads: number;
    batch: string;
    only?: string;
    responsiveness: boolean;
    json?: string;
  }>();

silenceRuntime();
const scratch = mkdtempSync(join(tmpdir(), "atpatch-bench-"));
const figures: unknown[] = [];
try {
  console.log(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${options.threads} thread(s) a session\n`,
  );
  for (const [name, make] of benchModels(scratch)) {
    if (options.only && !name.includes(options.only)) continue;
    const model = make();
    for (const batch of options.batch.split(",").map(Number))
      figures.push(...(await benchModel(model, batch)));
  }
  if (options.responsiveness) {
    const responsiveness = await measureResponsiveness(scratch);
    console.log("while one inference of about a second runs:");
    console.table(responsiveness);
    figures.push({ responsiveness });
  }
  if (options.json) writeFileSync(options.json, `${JSON.stringify(figures, null, 1)}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function benchModel(model: BenchModel, batch: number): Promise<unknown[]> {
  const { list, ...started } = await contestants(model, options.threads);
  try {
    const times = list.map((): number[] => []);
    const blocks = list.map((): number[] => []);
    let runs = 1;
    for (let warm = 0; warm < 3; warm++) {
      for (const contestant of list) {
        const began = performance.now();
        await contestant.run(batch);
        runs = Math.min(16, Math.max(1, Math.round(blockMs / (performance.now() - began))));
      }
    }
    const end = performance.now() + options.seconds * 1000;
    let rounds = 0;
    while (performance.now() < end || rounds < 5) {
      // Every contestant runs on the caches it has left itself, as it would alone: short models take turns block by block.
      for (const [index, contestant] of list.entries()) {
        const block: number[] = [];
        if (runs > 1) await contestant.run(batch);
        for (let run = 0; run < runs; run++) {
          const began = performance.now();
          await contestant.run(batch);
          block.push(performance.now() - began);
        }
        blocks[index]!.push(median(block));
        times[index]!.push(...block);
      }
      rounds++;
    }
    const rows = list.map((contestant, i) => {
      const own = times[i] ?? [];
      const against = ratio(blocks[i]!, blocks[0]!);
      return {
        contestant: contestant.name,
        "median ms": Number(median(own).toFixed(3)),
        "p99 ms": Number(quantile(own, 0.99).toFixed(3)),
        ratio: Number(against.median.toFixed(3)),
        quartiles: `${against.low.toFixed(3)}–${against.high.toFixed(3)}`,
      };
    });
    console.log(`${model.name}, batch ${batch}, ${rounds} rounds`);
    console.table(rows);
    return rows.map((row) => ({ model: model.name, batch, threads: options.threads, rounds, ...row }));
  } finally {
    await started.close();
  }
}
