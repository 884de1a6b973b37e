/** What the page reads of the server's answers; the API description has the whole of it. */

export interface Policy {
  readonly mode: Mode;
  readonly onError: "open" | "closed";
  readonly shadow: string | null;
  readonly canary: { readonly detector: string; readonly percent: number } | null;
  readonly guard: GuardLimits | null;
}

export type Mode = "off" | "observe" | "enforce";

export interface GuardLimits {
  readonly window_s: number;
  readonly max_trigger_rate?: number;
  readonly max_label_flip_rate?: number;
  readonly min_samples?: number;
}

export interface GuardFigures {
  readonly detector: string;
  readonly samples: number;
  readonly trigger_rate: number | null;
  readonly checked: number;
  readonly label_flip_rate: number | null;
}

export interface Agreement {
  readonly both: number;
  readonly active: number;
  readonly shadow: number;
  readonly neither: number;
}

export interface Recorder {
  readonly mode: "off" | "features" | "inputs";
  readonly samples: number;
  readonly marked: number;
  readonly bytes: number;
  readonly oldest: string | null;
  readonly limits: { readonly samples: number; readonly bytes: number; readonly age_s: number };
}

export type TaskKind = "text-classification" | "image-classification" | "tabular-classification" | "tensor";

export interface ModelState {
  readonly model: string;
  readonly revision: number;
  readonly active: string | null;
  readonly previous: string | null;
  readonly policy: Policy;
  readonly task: TaskKind;
  readonly labels: readonly string[];
  readonly ready: boolean;
  readonly queued: number;
  readonly sites: readonly { readonly index: number; readonly layer: number }[];
  readonly counters: { readonly requests: number; readonly samples: number; readonly triggered: number };
  readonly shadow: {
    readonly detector: string;
    readonly since: string;
    readonly samples: number;
    readonly dropped: number;
    readonly agreement: Agreement;
  } | null;
  readonly guard: {
    readonly armed: boolean;
    readonly active: GuardFigures | null;
    readonly canary: GuardFigures | null;
  } | null;
  readonly recorder: Recorder;
}

export interface DetectorInfo {
  readonly id: string;
  readonly size: number;
  readonly uploadedAt: string;
  readonly roles: readonly string[];
}

export interface DetectorDescription extends DetectorInfo {
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface HistoryEntry {
  readonly sequence: number;
  readonly revision: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly detector: string | null;
  readonly reason: string | null;
  readonly parent: string | null;
  readonly before: { readonly active: string | null; readonly policy: Policy };
  readonly after: { readonly active: string | null; readonly policy: Policy };
}

export type Place =
  | { readonly patch: readonly number[]; readonly box: readonly [number, number, number, number] }
  | { readonly token: string; readonly start: number; readonly end: number }
  | { readonly feature: string };

export interface SampleAttention {
  readonly places: readonly (Place | null)[];
  readonly sites: readonly {
    readonly site: number;
    readonly before: readonly number[];
    readonly after: readonly number[];
  }[];
}

export interface Prediction {
  readonly label: string;
  readonly index: number;
  readonly score: number;
  readonly probabilities: Readonly<Record<string, number>>;
  readonly atpatch: {
    readonly mode: Mode;
    readonly triggered: boolean;
    readonly columns: readonly { readonly index: number; readonly score: number; readonly forced?: true }[];
    readonly attention?: SampleAttention;
  };
}

export interface PredictAnswer {
  readonly predictions: readonly Prediction[];
  readonly atpatch: { readonly detector: string | null };
}

export interface TableColumn {
  readonly name: string;
  readonly kind: "category" | "number";
  readonly categories?: readonly string[];
}

export interface TryOut {
  readonly columns: readonly TableColumn[] | null;
  readonly samples: readonly { readonly name: string; readonly instance: unknown }[];
}

export interface SampleMark {
  readonly set: "failing" | "clean";
  readonly label: number;
}

export interface RecordedSample {
  readonly request_id: string;
  readonly sample: number;
  readonly at: string;
  readonly label: string;
  readonly index: number;
  readonly score: number;
  readonly mode: Mode;
  readonly triggered: boolean;
  readonly has_instance: boolean;
  readonly mark: SampleMark | null;
}

export interface FeedbackList {
  readonly debug_set: { readonly failing: number; readonly clean: number; readonly without_instance: number };
}

export interface RepairJob {
  readonly id: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  readonly by: string;
  readonly samples: { readonly clean: number; readonly failing: number };
  readonly progress: { readonly stage: string; readonly done: number; readonly all: number };
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly detector: string | null;
  readonly report: Readonly<Record<string, unknown>> | null;
  readonly error: { readonly code: string; readonly error: string } | null;
}

/** An event of `GET /admin/events`. */
export interface LiveEvent {
  readonly id: string | null;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}
