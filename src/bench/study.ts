/**
 * `npm run study`: how each part of the method does on each example model, over several seeds of the detector. Every figure
 * is recorded as it is made (`study.jsonl`), so that a run that was stopped goes on; the tables are made from the record.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { readDebugFile } from "../cli/files.ts";
import { openModel, taskOf, openBatchEngine } from "../cli/opened-model.ts";
import { silenceRuntime } from "../engine/runtime-telemetry.ts";
import { sha256 } from "../shared/digest.ts";
import { natural } from "../cli/arguments.ts";
import { studyAttack } from "./study-attack.ts";
import type { StudyRow } from "./study-row.ts";
import { studyTable } from "./study-table.ts";
import { studyText } from "./study-text.ts";

const folder = "src/bench";
const options = new Command("study")
  .description("Ablations, seeds and cross-trigger figures on the example models.")
  .option(
    "--models <list>",
    "model folders",
    "gtsrb-vit,sst2-bert,sst2-split,sst2-sentence,mnist-blend,adult-ft",
  )
  .option("--seeds <n>", "seeds of the detector", natural, 3)
  .option("--only <list>", "only these variants, by name, with semicolons between them")
  .option("--quick", "one seed, the default and twenty failing samples only")
  .option("--record <file>", "figures so far", join(folder, "study.jsonl"))
  .option("--out <file>", "tables to write; none with --quick", join(folder, "STUDY.md"))
  .parse()
  .opts<{ models: string; seeds: number; only?: string; quick?: boolean; record: string; out: string }>();

silenceRuntime();
const quick = options.quick === true;
const rows: StudyRow[] = existsSync(options.record)
  ? readFileSync(options.record, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as StudyRow)
  : [];
const current: StudyRow[] = [];
for (const name of options.models.split(",")) await studyModel(name);
const text = studyText(current, { seeds: options.seeds, cores: availableParallelism() });
if (quick) console.log(text);
else writeFileSync(options.out, text);

async function studyModel(name: string): Promise<void> {
  const path = join("models", name);
  const model = await openModel(path);
  const engine = await openBatchEngine(model, { workers: 1 });
  const task = await taskOf(model, engine);
  await engine.close();
  const [debug, test] = await Promise.all(
    ["debug", "test"].map((set) => readDebugFile(join(path, `${set}.jsonl.gz`), task.labels.length)),
  );
  const of = sha256(`${engine.description.fingerprint} ${debug!.digest} ${test!.digest}`);
  const own = rows.filter((row) => row.model === name && row.of === of);
  current.push(...own);
  const context = {
    name,
    seeds: Array.from({ length: quick ? 1 : options.seeds }, (_, seed) => seed),
    quick,
    wants: (variant: string) => options.only?.split(";").includes(variant) ?? true,
    has: (group: StudyRow["group"], variant: string, seed: number) =>
      own.some((row) => row.group === group && row.variant === variant && row.seed === seed),
    record: (row: Omit<StudyRow, "model" | "of">) => {
      const whole = { model: name, of, ...row };
      own.push(whole);
      current.push(whole);
      if (!quick) appendFileSync(options.record, `${JSON.stringify(whole)}\n`);
      console.error(
        `${name}: ${row.group} ${row.variant}, seed ${row.seed}: ${row.form} (${row.seconds.toFixed(0)} s)`,
      );
    },
  };
  const sets = { debug: debug!.samples, test: test!.samples };
  const isTable = task.layout.kind === "features" && task.layout.protected.length > 0;
  if (isTable) await studyTable(model, task, sets, context);
  else await studyAttack(model, task, sets, context);
}
