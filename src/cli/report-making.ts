/** From a measured set to a report on disk. */
import { basename } from "node:path";
import { Option } from "commander";
import type { Bundle } from "../detector/bundle.ts";
import type { Refusal } from "../report/data.ts";
import { scoreModel } from "../hotfix/score-model.ts";
import { makeReport } from "../report/make-report.ts";
import { tapKinds } from "../shared/patched-model.ts";
import type { FullJudgement } from "../training/full-evaluation.ts";
import type { ModelRuns } from "../training/model-runs.ts";
import { packageVersion } from "../version.ts";
import { openBatchEngine, withEngine, type OpenedModel } from "./opened-model.ts";
import { writeReport } from "./report-folder.ts";
import type { Output } from "./output.ts";

/** Options of the verbs that can write a report. */
export interface ReportOptions {
  readonly report?: string;
  readonly force?: boolean;
}

export const reportOptions = {
  report: new Option("--report <folder>", "also write the findings as a page to look at, and as JSON"),
  force: new Option("--force", "write the report even into a folder that holds something else"),
};

export interface ReportMaking {
  readonly model: OpenedModel;
  /** Over the measured set, with the detector published. */
  readonly runs: ModelRuns;
  readonly judgement: FullJudgement;
  readonly bundle: Bundle | null;
  readonly refusal?: Refusal;
  readonly set: { readonly path: string; readonly digest: string };
  readonly sameSamples: boolean;
  readonly seed: number;
  /** As a person types it, without folders of this machine. */
  readonly command: readonly string[];
}

/** Writes the report and says where. @throws AtPatchError ATPATCH_BAD_INPUT when it cannot be written */
export async function writeReportOf(
  making: ReportMaking,
  { report, force }: ReportOptions,
  output: Output,
): Promise<void> {
  if (report === undefined) return;
  const { model, runs, bundle } = making;
  await withEngine(await openBatchEngine(model, { taps: tapKinds, workers: 1 }), async (tapped) => {
    if (bundle) await tapped.publish(bundle.id, bundle.tensors);
    const data = await makeReport({
      runs,
      tapped,
      judgement: making.judgement,
      bundle,
      scoreModel: scoreModel(),
      refusal: making.refusal ?? null,
      model: model.folder.name,
      provenance: provenanceOf(making),
      sameSamples: making.sameSamples,
      progress: (stage, done, all) => output.progress(stage, done, all),
    });
    output.progress("writing the report", 0, 0);
    const page = await writeReport(report, data, force === true);
    output.note(`report: ${page}`);
  });
}

function provenanceOf({ runs, bundle, set, seed, command }: ReportMaking): (readonly [string, string])[] {
  const own = Object.entries(bundle?.metadata.provenance ?? {}).map(
    ([name, value]) =>
      [`bundle: ${name}`, typeof value === "string" ? value : JSON.stringify(value)] as const,
  );
  return [
    ["command", command.join(" ")],
    ["tool", `atpatch ${packageVersion()}`],
    ["model fingerprint", runs.engine.description.fingerprint],
    ["bundle", bundle?.id ?? "none"],
    ["samples", basename(set.path)],
    ["digest of the samples", set.digest],
    ["seed", String(seed)],
    ...own,
  ];
}

/** A file or folder as a command names it, without where it lies. */
export function nameOf(path: string): string {
  const name = basename(path);
  return /^[\w.@%+=:,-]+$/.test(name) ? name : JSON.stringify(name);
}
