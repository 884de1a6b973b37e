/** `localize`: the anomalous columns of failing samples. */
import { Command } from "commander";
import { writeDebugSet } from "../training/debug-set.ts";
import { localizeSet, type SetLocalization } from "../training/localize-set.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { referenceTaps } from "../training/reference.ts";
import { SampleStore } from "../training/sample-store.ts";
import { packageVersion } from "../version.ts";
import { LocalizeLog } from "./localize-log.ts";
import { readDebugFile, writeWhole } from "./files.ts";
import { rateText, table } from "./format.ts";
import { openBatchEngine, openModel, taskOf, withEngine } from "./opened-model.ts";
import { placeText } from "./place.ts";
import type { Context } from "./context.ts";

interface Options {
  readonly model: string;
  readonly debug: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function localizeCommand(context: Context): Command {
  return new Command("localize")
    .description("find the anomalous columns of failing samples by delta debugging")
    .requiredOption("--model <folder>", "model folder")
    .requiredOption("--debug <file>", "debug set: JSON Lines, optionally gzip")
    .option("--out <file>", "write the set again with `columns` on every failing line")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Each failing sample is run again and again with windows of columns repaired (squares of 1 to 3 patches, runs of 1 to 8
tokens) until its answer leaves the wrong one; the window is then reduced to the columns that are needed. Clean samples of
the set give the benign reference. A clean input can flip under some window too: the set decides, in "train".
With --out, a run that was stopped goes on where it was when it is started again (FILE.partial holds what was found).

Example:
  $ atpatch localize --model models/gtsrb-vit --debug models/gtsrb-vit/debug.jsonl.gz --out located.jsonl`,
    )
    .action(async (options: Options) => {
      const output = context.output(options);
      const model = await openModel(options.model);
      await withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (engine) => {
        const task = await taskOf(model, engine);
        const { samples, digest } = await readDebugFile(options.debug, task.labels.length);
        const runs = new ModelRuns(engine, task, new SampleStore(task, samples));
        const log =
          options.out === undefined
            ? null
            : await LocalizeLog.open(options.out, {
                model: engine.description.fingerprint,
                debug_set: digest,
                tool: `atpatch ${packageVersion()}`,
              });
        if (log && log.known.size > 0)
          output.note(`going on after ${log.known.size} samples of an earlier run`);
        const found = await localizeSet(runs, {
          ...(log && { known: log.known, found: (some) => log.add(some) }),
          progress: (stage, done, all) => output.progress(stage, done, all),
        }).finally(() => void log?.close());
        if (options.out !== undefined) {
          const columnsOf = new Map(found.samples.map(({ id, columns }) => [id, columns]));
          const located = samples.map((sample) => ({
            ...sample,
            columns: columnsOf.get(sample.id) ?? sample.columns,
          }));
          await writeWhole(options.out, writeDebugSet(located));
          await log?.remove();
        }
        output.result(found, () => localizationText(found, options.out));
      });
    });
}

function localizationText(found: SetLocalization, out: string | undefined): string {
  const rows = found.samples.map(
    ({ id, columns, places, margin_before: before, margin_after: after, passes }) => [
      id,
      columns.length > 0
        ? places.map((place, i) => placeText(place, columns[i] as number)).join(" ")
        : "none found",
      `${before.toFixed(1)} → ${after === null ? "–" : after.toFixed(1)}`,
      String(passes),
    ],
  );
  return `${table([["sample", "columns", "margin", "passes"], ...rows])}

found in ${rateText(found.found)} of ${found.samples.length} failing samples, ${found.passes} passes${
    found.answered_rightly > 0
      ? `; ${found.answered_rightly} failing samples are answered rightly and were left aside`
      : ""
  }
margin of the wrong answer falls ${dropText(found.margin_drop)} when its columns are repaired; the same search changed ${rateText(found.clean.flipped)}
of ${found.clean.searched} clean samples, whose right answer's margin fell ${dropText(found.clean.margin_drop)}
${out === undefined ? "" : `written to ${out}\n`}`;
}

function dropText(drop: number | null): string {
  return drop === null ? "not at all" : `by ${drop.toFixed(1)} (median)`;
}
