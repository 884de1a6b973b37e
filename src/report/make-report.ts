/** Gathers what a report shows, beyond the figures: examples with their attention, scores, changed answers, limits. */
import type { Bundle } from "../detector/bundle.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { FullJudgement } from "../training/full-evaluation.ts";
import { gateScores } from "../training/gate-scores.ts";
import type { ModelRuns } from "../training/model-runs.ts";
import { changedAnswers } from "./changed.ts";
import { chooseExamples, chooseUnpatched } from "./choose-examples.ts";
import type { Refusal, ReportData } from "./data.ts";
import { explainExamples } from "./explain.ts";
import { limitsOf } from "./limits.ts";
import { refusalVerdict, verdictOf } from "./verdict.ts";

export interface ReportSource {
  /** Runs over the measured set; the detector is published on its engine. */
  readonly runs: ModelRuns;
  /** Runs the model with all taps; the detector is published on it as well. */
  readonly tapped: InferenceEngine;
  readonly judgement: FullJudgement;
  readonly bundle: Bundle | null;
  /** The bytes of `hotfix/score-model.ts`, which scores the samples with the bundle's detector. */
  readonly scoreModel: Uint8Array;
  readonly refusal: Refusal | null;
  /** Name of the model. */
  readonly model: string;
  readonly provenance: ReportData["provenance"];
  readonly sameSamples: boolean;
  readonly progress: (stage: string, done: number, all: number) => void;
}

/** @throws what the engines throw */
export async function makeReport(source: ReportSource): Promise<ReportData> {
  const { runs, tapped, bundle, refusal, sameSamples, progress } = source;
  const { evaluation, judged } = source.judgement;
  const { task, store, engine } = runs;
  const { fingerprint, sites } = engine.description;
  const detector = bundle && { id: bundle.id, metadata: bundle.metadata };
  const chosen = bundle === null ? chooseUnpatched(judged) : chooseExamples(judged);
  return {
    verdict: refusal === null ? verdictOf(evaluation) : refusalVerdict(refusal.message),
    subject: {
      model: source.model,
      task: task.kind,
      classes: task.labels.length,
      sites: sites.length,
      fingerprint,
    },
    provenance: source.provenance,
    same_samples: sameSamples,
    detector,
    evaluation,
    refusal,
    sets: store.samples.map(({ set }) => set),
    scores:
      bundle === null
        ? []
        : await gateScores(runs, bundle, source.scoreModel, (done, all) => progress("scoring", done, all)),
    examples: await explainExamples(runs, chosen, {
      engine: tapped,
      detector: bundle?.id ?? null,
      progress: (done, all) => progress("looking at attention", done, all),
    }),
    changed: await changedAnswers(runs, judged),
    limits: limitsOf(task.kind, detector, sameSamples),
  };
}
