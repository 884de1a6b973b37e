/** The models a server answers for. */
import type { DetectorRegistry } from "../detector/registry.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { TryOut } from "../tasks/model-samples.ts";
import type { Task } from "../tasks/task.ts";
import type { ModelCounters } from "./counters.ts";
import type { Explainer } from "./explainer.ts";
import type { ModelWatch } from "./model-watch.ts";
import type { FlightRecorder } from "./recorder.ts";
import type { ModelStatistics } from "./statistics.ts";

/** A model with everything that answers for it. */
export interface ServedModel {
  readonly name: string;
  /** Its only version. */
  readonly version: string;
  readonly task: Task;
  readonly engine: InferenceEngine;
  /** Worker threads, and compute threads of each. */
  readonly compute: { readonly workers: number; readonly threads: number };
  readonly registry: DetectorRegistry;
  readonly explainer: Explainer;
  readonly counters: ModelCounters;
  readonly watch: ModelWatch;
  readonly recorder: FlightRecorder;
  /** What can be tried out on it. */
  readonly tryOut: () => Promise<TryOut>;
  readonly statistics: ModelStatistics;
  /** Most samples one request may carry. */
  readonly maxInstances: number;
  /** Longest time from the arrival of a request to its answer. */
  readonly deadlineMs: number;
  /** Finishes what was accepted and lets everything go. */
  close(): Promise<void>;
}

/** Models by name. */
export class ModelTable {
  readonly #models: ReadonlyMap<string, ServedModel>;
  readonly #fallback: ServedModel | undefined;

  /**
   * @param fallback name of the model asked when a request names none; the first one when absent
   * @throws AtPatchError ATPATCH_BAD_SETTINGS when `fallback` is not among them
   */
  constructor(models: readonly ServedModel[], fallback: string | null = null) {
    this.#models = new Map(models.map((model) => [model.name, model]));
    this.#fallback = fallback === null ? models[0] : this.#models.get(fallback);
    if (fallback !== null && this.#fallback === undefined) {
      throw new AtPatchError("ATPATCH_BAD_SETTINGS", `there is no model "${fallback}" to be the default`);
    }
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_MODEL, also when the version is not the served one */
  get(name: string, version?: string): ServedModel {
    const model = this.#models.get(name);
    if (model === undefined) {
      throw new AtPatchError("ATPATCH_UNKNOWN_MODEL", `no model "${name.slice(0, 80)}" is served here`);
    }
    if (version !== undefined && version !== model.version) {
      const what = `model "${name}" has no version "${version.slice(0, 20)}", only "${model.version}"`;
      throw new AtPatchError("ATPATCH_UNKNOWN_MODEL", what);
    }
    return model;
  }

  /**
   * The model asked when a request names none.
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL when nothing is served
   */
  get fallback(): ServedModel {
    if (this.#fallback === undefined)
      throw new AtPatchError("ATPATCH_UNKNOWN_MODEL", "no model is served here");
    return this.#fallback;
  }

  /** All models, in the order given. */
  all(): ServedModel[] {
    return [...this.#models.values()];
  }
}
