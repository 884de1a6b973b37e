/** What is made of an answer after it has left: counts, the guard's figures, the shadow's table. Nobody waits for it. */
import type { ShadowLease } from "../detector/registry.ts";
import type { Mode } from "../shared/patched-model.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { Guard, GuardedRole } from "./guard.ts";
import type { LabelFlips } from "./label-flips.ts";
import type { ShadowTable } from "./shadow-table.ts";

/** An answered run, as far as it is watched. */
export interface WatchedRun {
  readonly detector: string | null;
  readonly role: GuardedRole;
  readonly mode: Mode;
  /** Whether the mode was the policy's and detection worked: others tell nothing of a detector. */
  readonly typical: boolean;
  readonly triggered: readonly boolean[];
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Whether the outputs are all that the model has. */
  readonly complete: boolean;
  readonly shadow: ShadowLease | null;
  readonly reports: readonly SiteReport[];
}

export class ModelWatch {
  readonly guard: Guard;
  readonly shadow: ShadowTable;
  readonly #flips: LabelFlips;

  constructor(guard: Guard, shadow: ShadowTable, flips: LabelFlips) {
    this.guard = guard;
    this.shadow = shadow;
    this.#flips = flips;
  }

  answered(run: WatchedRun): void {
    if (!run.typical) return;
    if (run.shadow !== null && run.role === "active") {
      const { detector, sites } = run.shadow;
      const reports = run.reports.filter(({ site }) => sites.includes(site));
      void this.shadow.compare({ shadow: detector, reports, triggered: run.triggered });
    }
    if (run.detector === null || run.mode === "off") return;
    const samples = run.triggered.flatMap((triggered, sample) => (triggered ? [sample] : []));
    const { detector, role } = run;
    this.guard.answered({ detector, role, samples: run.triggered.length, triggered: samples.length });
    if (run.mode === "enforce" && run.complete && samples.length > 0 && this.guard.checksFlips) {
      void this.#checkFlips(run, detector, samples);
    }
  }

  async #checkFlips(run: WatchedRun, detector: string, samples: readonly number[]): Promise<void> {
    const { inputs, outputs, role } = run;
    const found = await this.#flips.check({ inputs, outputs, batch: run.triggered.length, samples });
    if (found !== null) this.guard.checked({ detector, role, ...found });
  }
}
