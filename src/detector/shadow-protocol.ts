/** Messages between the server and its scoring thread. */
import type { SiteReport } from "../shared/site-report.ts";
import type { Scorer } from "./score.ts";

export type ToShadowWorker =
  | { readonly kind: "learn"; readonly detector: string; readonly scorer: Scorer }
  | { readonly kind: "forget"; readonly detector: string }
  | {
      readonly kind: "score";
      readonly job: number;
      readonly detector: string;
      readonly batch: number;
      readonly reports: readonly SiteReport[];
    };

/** Per sample whether the gate opens; null when the detector is not known any more. */
export interface FromShadowWorker {
  readonly job: number;
  readonly gates: readonly boolean[] | null;
}
