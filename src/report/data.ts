/** What a report says, before it is drawn. `report.json` is this, without the pictures. */
import type { BundleMetadata } from "../detector/bundle.ts";
import type { FullEvaluation } from "../training/full-evaluation.ts";
import type { SiteScores } from "../training/gate-scores.ts";
import type { Finding } from "../training/training-refusal.ts";
import type { Verdict } from "./verdict.ts";

export interface ReportData {
  readonly verdict: Verdict;
  readonly subject: Subject;
  /** Where the figures come from, in the order to be shown: name and value. */
  readonly provenance: readonly (readonly [name: string, value: string])[];
  /** Whether the measured samples also made the detector. */
  readonly same_samples: boolean;
  readonly detector: Detector | null;
  readonly evaluation: FullEvaluation;
  /** Why no detector was made; null where one was, or none was tried. */
  readonly refusal: Refusal | null;
  /** Set of every sample, in the order of the scores. */
  readonly sets: readonly ("clean" | "failing")[];
  readonly scores: readonly SiteScores[];
  readonly examples: readonly Example[];
  readonly changed: readonly ChangedAnswer[];
  readonly limits: readonly string[];
}

export interface Subject {
  readonly model: string;
  readonly task: string;
  readonly classes: number;
  readonly sites: number;
  readonly fingerprint: string;
}

export interface Detector {
  readonly id: string;
  readonly metadata: Pick<
    BundleMetadata,
    "detectionSites" | "features" | "kernel" | "reference" | "forced" | "thresholds" | "provenance" | "report"
  >;
}

export interface Refusal {
  readonly message: string;
  readonly findings: readonly Finding[];
}

/** An answer of the model to one sample. */
export interface SampleAnswer {
  readonly label: string;
  readonly score: number;
}

/** One input with what the model pays attention to, before and after the patch. */
export interface Example {
  readonly id: string;
  readonly why: string;
  /** True class. */
  readonly label: string;
  readonly before: SampleAnswer;
  /** Null where there is no detector. */
  readonly after: SampleAnswer | null;
  readonly content: SampleContent;
  /** Flagged key positions. */
  readonly columns: readonly number[];
  /** Mean attention of each key position at some sites, as a multiple of an even share. */
  readonly attention: readonly SiteAttention[];
}

export interface SiteAttention {
  readonly site: number;
  readonly before: readonly number[];
  readonly after: readonly number[] | null;
}

/** What the user sent, with the key position of each of its parts. */
export type SampleContent =
  | {
      readonly kind: "picture";
      /** A PNG as a data address; null where the instance is no encoded picture. */
      readonly source: string | null;
      readonly first_key: number;
      readonly rows: number;
      readonly columns: number;
    }
  | { readonly kind: "text"; readonly pieces: readonly TextPiece[]; readonly cut: boolean }
  | {
      readonly kind: "row";
      readonly features: readonly { readonly name: string; readonly value: string; readonly key: number }[];
    }
  | { readonly kind: "other" };

/** A token with the characters before it that belong to none. */
export interface TextPiece {
  readonly space: string;
  readonly text: string;
  readonly key: number;
}

/** A clean sample that is answered differently with the patch. */
export interface ChangedAnswer {
  readonly id: string;
  readonly label: string;
  readonly before: string;
  readonly after: string;
  readonly effect: "lost" | "won" | "wrong either way";
  /** Flagged parts, in words. */
  readonly flagged: string;
  readonly picture: string | null;
  readonly excerpt: string;
}
