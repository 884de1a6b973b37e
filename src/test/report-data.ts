/** A small report, made by hand, for tests of how reports are drawn. */
import type { Example, ReportData } from "../report/data.ts";
import { mcnemar } from "../training/mcnemar.ts";
import { wilson } from "../training/wilson.ts";

/** Hits of 100 samples. */
const of100 = (hits: number): ReturnType<typeof wilson> => wilson(hits, 100);
const none = { samples: 0, unpatched_ms: null, patched_ms: null, ratio: null };

/** Every text that a user or a bundle brings is `text`. */
export function reportData(text: string, change: Partial<ReportData> = {}): ReportData {
  return {
    verdict: { tone: "good", sentence: text },
    subject: { model: text, task: "text-classification", classes: 2, sites: 3, fingerprint: text },
    provenance: [[text, text]],
    same_samples: false,
    detector: {
      id: text,
      metadata: {
        detectionSites: [0],
        features: "attention",
        kernel: 1,
        reference: "benign",
        thresholds: [{ site: 0, gate: 1, column: 0 }],
        provenance: { [text]: text },
        report: { held_out: { repaired: of100(90), altered: { value: text, low: 0, high: 1 } } },
      },
    },
    evaluation: evaluationData(text),
    refusal: null,
    sets: ["clean", "failing"],
    scores: [{ site: 0, gate: 1, column: 0, scores: [-2, 3] }],
    examples: (["picture", "text", "row"] as const).map((kind) => exampleData(text, kind)),
    changed: [
      {
        id: text,
        label: text,
        before: text,
        after: text,
        flagged: text,
        excerpt: text,
        effect: "lost",
        picture: null,
      },
    ],
    limits: [text],
    ...change,
  };
}

/** 100 clean and 100 failing samples: attack success from 100 % to 2 % at a floor of 1 %. */
export function evaluationData(text: string): ReportData["evaluation"] {
  return {
    model: text,
    detector: text,
    target: { index: 0, label: text, given: true },
    clean: {
      n: 100,
      accuracy: of100(90),
      accuracy_unpatched: of100(90),
      mcc: 0.8,
      mcc_unpatched: 0.8,
      flag_rate: of100(2),
      altered: of100(0),
      target_rate: of100(1),
      mcnemar: mcnemar(0, 0),
    },
    failing: {
      n: 100,
      attack_success: of100(2),
      attack_success_unpatched: of100(100),
      robust_accuracy: of100(88),
      robust_accuracy_unpatched: of100(0),
      flag_rate: of100(99),
      mcnemar: mcnemar(0, 88),
    },
    classes: [
      {
        index: 0,
        label: text,
        clean: 100,
        failing: 100,
        accuracy: of100(90),
        accuracy_unpatched: of100(90),
        robust_accuracy: of100(88),
      },
    ],
    latency: { unflagged: none, flagged: none },
    fairness: [],
    baselines: [{ name: text, figures: null, why: text }],
  };
}

function exampleData(text: string, kind: "picture" | "text" | "row"): Example {
  const content = {
    picture: { kind: "picture", source: null, first_key: 0, rows: 1, columns: 2 },
    text: { kind: "text", pieces: [{ space: text, text, key: 0 }], cut: true },
    row: { kind: "row", features: [{ name: text, value: text, key: 1 }] },
  } as const;
  return {
    id: text,
    why: text,
    label: text,
    before: { label: text, score: 0.9 },
    after: { label: text, score: 0.8 },
    content: content[kind],
    columns: [1],
    attention: [{ site: 0, before: [0.2, 1.8], after: [1.1, 0.9] }],
  };
}
