/** Everything operators do with detectors and policy, free of HTTP. */
import type {
  Change,
  DetectorDescription,
  DetectorInfo,
  RegistrySnapshot,
  UploadResult,
} from "../detector/registry.ts";
import type { ControlEntry } from "../detector/control-log.ts";
import type { HistoryQuery } from "../detector/store.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { SiteDescription } from "../shared/patched-model.ts";
import type { TryOut } from "../tasks/model-samples.ts";
import type { TaskKind } from "../tasks/task.ts";
import type { DetectorTotals, Totals } from "./counters.ts";
import type { GuardState } from "./guard.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type { ServiceObserver } from "./observer.ts";
import type { RecorderState } from "./recorder.ts";
import type { ShadowState } from "./shadow-table.ts";
import { stopwatch } from "./timings.ts";

/** A model as operators see it. */
export interface ModelState extends RegistrySnapshot {
  readonly task: TaskKind;
  readonly labels: readonly string[];
  readonly ready: boolean;
  readonly queued: number;
  /** Worker threads, and compute threads of each. */
  readonly compute: ServedModel["compute"];
  readonly fingerprint: string;
  readonly sites: readonly SiteDescription[];
  readonly counters: Totals & { readonly detectors: readonly DetectorTotals[] };
  /** How the shadow agrees with the detectors that answer; null without one. */
  readonly shadow: ShadowState | null;
  /** What the guard sees; null without limits. */
  readonly guard: GuardState | null;
  /** What is recorded of the traffic. */
  readonly recorder: RecorderState;
}

export class AdminService {
  readonly #models: ModelTable;
  readonly #observer: ServiceObserver;

  constructor(models: ModelTable, observer: ServiceObserver) {
    this.#models = models;
    this.#observer = observer;
  }

  models(): ModelState[] {
    return this.#models.all().map(stateOf);
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_MODEL, like every method below */
  model(name: string): ModelState {
    return stateOf(this.#models.get(name));
  }

  /** Samples that come with the model, and the columns of a table. @throws AtPatchError ATPATCH_BAD_MODEL */
  tryOut(name: string): Promise<TryOut> {
    return this.#models.get(name).tryOut();
  }

  /** @throws AtPatchError ATPATCH_BAD_BUNDLE, ATPATCH_BUNDLE_MISMATCH, ATPATCH_SELF_TEST; nothing is stored then */
  upload(name: string, bundle: Uint8Array, change: Change): Promise<UploadResult> {
    return this.#models.get(name).registry.upload(bundle, change);
  }

  detectors(name: string): Promise<DetectorInfo[]> {
    return this.#models.get(name).registry.list();
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  detector(name: string, id: string): Promise<DetectorDescription> {
    return this.#models.get(name).registry.describe(id);
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR */
  content(name: string, id: string): Promise<Uint8Array> {
    return this.#models.get(name).registry.content(id);
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR, ATPATCH_CONFLICT while it is in use */
  remove(name: string, id: string, change: Change): Promise<void> {
    return this.#models.get(name).registry.remove(id, change);
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR, ATPATCH_REVISION_MISMATCH */
  activate(name: string, id: string | null, change: Change): Promise<RegistrySnapshot> {
    return this.#swap(name, (model) => model.registry.activate(id, change));
  }

  /** @throws AtPatchError ATPATCH_CONFLICT without a detector to go back to, ATPATCH_REVISION_MISMATCH */
  rollback(name: string, change: Change): Promise<RegistrySnapshot> {
    return this.#swap(name, (model) => model.registry.rollback(change));
  }

  /** @throws AtPatchError ATPATCH_BAD_INPUT naming the field, ATPATCH_REVISION_MISMATCH */
  setPolicy(name: string, patch: unknown, change: Change): Promise<RegistrySnapshot> {
    return this.#models.get(name).registry.setPolicy(patch, change);
  }

  history(name: string, query: HistoryQuery): Promise<ControlEntry[]> {
    return this.#models.get(name).registry.history(query);
  }

  async #swap(
    name: string,
    act: (model: ServedModel) => Promise<RegistrySnapshot>,
  ): Promise<RegistrySnapshot> {
    const model = this.#models.get(name);
    const elapsed = stopwatch();
    try {
      const snapshot = await act(model);
      this.#observer.swapped(name, "ok", elapsed());
      return snapshot;
    } catch (error) {
      this.#observer.swapped(name, isRefusal(error) ? "refused" : "failed", elapsed());
      throw error;
    }
  }
}

function stateOf(model: ServedModel): ModelState {
  const { description } = model.engine;
  return {
    ...model.registry.snapshot(),
    task: model.task.kind,
    labels: model.task.labels,
    ready: model.engine.ready,
    queued: model.engine.queued,
    compute: model.compute,
    fingerprint: description.fingerprint,
    sites: description.sites,
    counters: { ...model.counters.totals, detectors: model.counters.byDetector },
    shadow: model.watch.shadow.state,
    guard: model.watch.guard.state,
    recorder: model.recorder.state,
  };
}

/** Whether nothing is wrong but what was asked for. */
function isRefusal(error: unknown): boolean {
  const codes: readonly string[] = [
    "ATPATCH_CONFLICT",
    "ATPATCH_REVISION_MISMATCH",
    "ATPATCH_UNKNOWN_DETECTOR",
  ];
  return error instanceof AtPatchError && codes.includes(error.code);
}
