/** Repairs as jobs: one at a time, watched, stoppable, ending in a detector in the store that no request gets yet. */
import { randomUUID } from "node:crypto";
import { AtPatchError } from "../shared/errors.ts";
import type { AdminService } from "./admin.ts";
import type { EventBus } from "./events.ts";
import type { FeedbackService } from "./feedback.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type {
  RepairJob,
  RepairOptions,
  RepairProgress,
  RepairRun,
  RepairRunner,
  SetCounts,
} from "./repair-job.ts";

/** What somebody wants repaired. */
export interface RepairRequest {
  readonly options: RepairOptions;
  /** An uploaded debug set. */
  readonly uploaded: Uint8Array | null;
  /** Whether the samples of the flight recorder are used, alone or beside the uploaded ones. */
  readonly recorded: boolean;
  readonly reason: string | null;
}

/** Ended jobs that are remembered. */
const mostJobs = 20;

export class RepairService {
  readonly #models: ModelTable;
  readonly #admin: AdminService;
  readonly #feedback: FeedbackService;
  readonly #events: EventBus;
  readonly #runner: RepairRunner;
  /** The oldest first. */
  readonly #jobs = new Map<string, RepairJob>();
  /** What runs, also before its debug set was read. */
  #current: { readonly id: string; readonly run: RepairRun } | null = null;
  #ended = Promise.resolve();
  #closed = false;

  constructor(
    parts: { models: ModelTable; admin: AdminService; feedback: FeedbackService; events: EventBus },
    runner: RepairRunner,
  ) {
    this.#models = parts.models;
    this.#admin = parts.admin;
    this.#feedback = parts.feedback;
    this.#events = parts.events;
    this.#runner = runner;
  }

  /**
   * Starts a repair; resolves once its debug set was read and found well-formed.
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL, ATPATCH_CONFLICT while another one runs, ATPATCH_BAD_DEBUG_SET naming the
   *   line, ATPATCH_TRAINING when nothing is marked as failing
   */
  async start(name: string, request: RepairRequest, by: string): Promise<RepairJob> {
    const model = this.#models.get(name);
    if (this.#closed) throw new AtPatchError("ATPATCH_NOT_READY", "the server is draining");
    if (this.#current !== null) {
      const what = "a repair is running already, and one at a time is enough: wait for it, or cancel it";
      throw new AtPatchError("ATPATCH_CONFLICT", what);
    }
    const debugSets = this.#debugSets(model, request);
    const id = randomUUID();
    const task = { model: name, debugSets, options: request.options };
    const run = this.#runner.start(task, (progress) => this.#progressed(id, progress));
    this.#current = { id, run };
    try {
      const samples = await run.accepted;
      const { reason, options } = request;
      const job = this.#begin({ id, model: name, by, reason, options, samples });
      this.#ended = this.#finish(id, run);
      return job;
    } catch (error) {
      this.#current = null;
      throw error;
    }
  }

  /** Jobs of a model, the newest first. @throws AtPatchError ATPATCH_UNKNOWN_MODEL */
  list(name: string): RepairJob[] {
    this.#models.get(name);
    return [...this.#jobs.values()].filter(({ model }) => model === name).reverse();
  }

  /** @throws AtPatchError ATPATCH_UNKNOWN_MODEL, ATPATCH_NOT_FOUND */
  job(name: string, id: string): RepairJob {
    this.#models.get(name);
    const job = this.#jobs.get(id);
    if (job?.model === name) return job;
    throw new AtPatchError("ATPATCH_NOT_FOUND", `model "${name}" has no repair "${id.slice(0, 80)}"`);
  }

  /** @throws AtPatchError ATPATCH_CONFLICT when it has ended, and as {@link job} */
  async cancel(name: string, id: string): Promise<RepairJob> {
    const { state, progress } = this.job(name, id);
    if (state !== "running" || this.#current?.id !== id)
      throw new AtPatchError("ATPATCH_CONFLICT", `repair "${id}" has ended already: ${state}`);
    if (progress.stage === storing)
      throw new AtPatchError(
        "ATPATCH_CONFLICT",
        `repair "${id}" is storing its detector, remove that instead`,
      );
    await this.#stop(this.#current);
    return this.job(name, id);
  }

  /** Stops what runs; nothing is started any more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#current !== null) await this.#stop(this.#current);
  }

  async #stop({ id, run }: { readonly id: string; readonly run: RepairRun }): Promise<void> {
    this.#end(id, { state: "cancelled" });
    await run.stop();
    await this.#ended;
  }

  #debugSets({ name, task }: ServedModel, { uploaded, recorded, options }: RepairRequest): Uint8Array[] {
    const sets = uploaded === null ? [] : [uploaded];
    if (!recorded) return sets;
    const { failing, withoutInstance } = this.#feedback.debugSetCounts(name);
    const cleanIsEnough =
      options.conformal || (task.layout.kind === "features" && task.layout.protected.length > 0);
    if (uploaded === null && failing === 0 && !cleanIsEnough) {
      const what =
        withoutInstance > 0
          ? `what callers sent was not recorded of the ${withoutInstance} marked samples: start the server with ATPATCH_RECORD=inputs, or upload a debug set`
          : "no recorded sample is marked as failing: mark wrong answers first, or upload a debug set";
      throw new AtPatchError("ATPATCH_TRAINING", what);
    }
    const lines = this.#feedback.debugSet(name);
    return lines.length > 0 ? [...sets, lines] : sets;
  }

  #begin(
    known: Pick<RepairJob, "id" | "model" | "by" | "reason" | "options"> & { samples: SetCounts },
  ): RepairJob {
    while (this.#jobs.size >= mostJobs) {
      const [oldest] = this.#jobs.keys();
      this.#jobs.delete(oldest!);
    }
    const job: RepairJob = {
      ...known,
      state: "running",
      progress: { stage: "starting", done: 0, all: 0 },
      startedAt: new Date().toISOString(),
      endedAt: null,
      detector: null,
      report: null,
      failure: null,
    };
    this.#jobs.set(job.id, job);
    this.#tell(job, true);
    return job;
  }

  /** Never rejects. */
  async #finish(id: string, run: RepairRun): Promise<void> {
    try {
      const bundle = await run.bundle;
      const job = this.#jobs.get(id)!;
      if (job.state === "running") {
        this.#progressed(id, { stage: storing, done: 0, all: 0 });
        const change = { actor: job.by, reason: reasonOf(job) };
        const { id: detector, report } = await this.#admin.upload(job.model, bundle, change);
        this.#end(id, { state: "done", detector, report });
      }
    } catch (error) {
      this.#end(id, { state: "failed", failure: failureOf(error) });
    } finally {
      this.#current = null;
    }
  }

  #progressed(id: string, progress: RepairProgress): void {
    const job = this.#jobs.get(id);
    if (job?.state !== "running") return;
    const next = { ...job, progress };
    this.#jobs.set(id, next);
    this.#tell(next, false);
  }

  /** The first end counts: a cancelled job does not fail because it was stopped. */
  #end(id: string, end: Pick<RepairJob, "state"> & Partial<RepairJob>): void {
    const job = this.#jobs.get(id);
    if (job?.state !== "running") return;
    const ended = { ...job, ...end, endedAt: new Date().toISOString() };
    this.#jobs.set(id, ended);
    this.#tell(ended, true);
  }

  #tell({ id, model, state, progress, detector, failure }: RepairJob, keep: boolean): void {
    const data = { model, repair: id, state, ...progress, detector, error: failure?.error ?? null };
    this.#events.publish("repair", data, { keep });
  }
}

/** The last stage, which is not interrupted. */
const storing = "storing";

function reasonOf({ id, reason, samples: { failing, clean } }: RepairJob): string {
  const what = `repair ${id.slice(0, 8)} from ${failing} failing and ${clean} clean samples`;
  return reason === null ? what : `${what}: ${reason}`;
}

function failureOf(error: unknown): NonNullable<RepairJob["failure"]> {
  if (error instanceof AtPatchError) return { code: error.code, error: error.message };
  return { code: "ATPATCH_INTERNAL", error: "an internal failure; the log says more" };
}
