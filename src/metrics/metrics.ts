/** Every metric, label and bucket of the server, in one registry per app. Labels are bounded: names, ids, modes, route templates. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { EngineObserver } from "../engine/engine.ts";
import type { ServiceObserver } from "../service/observer.ts";

/** Seconds; HTTP and stages: from half a millisecond for small models up to the longest deadline people use. */
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const batchSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** One detector in one role, as `atpatch_detector_info` shows it. */
export interface DetectorRole {
  readonly model: string;
  readonly detector: string;
  readonly role: "active" | "shadow" | "canary";
}

/** Whether a model takes requests. */
export interface ModelReadiness {
  readonly model: string;
  readonly ready: boolean;
}

export interface MetricsOptions {
  /** Asked at every scrape for the detectors in use. */
  readonly roles: () => Iterable<DetectorRole>;
  /** Asked at every scrape for the models. */
  readonly ready?: () => Iterable<ModelReadiness>;
  /** Whether to export the metrics of the process as well; default true. */
  readonly process?: boolean;
}

export interface Metrics {
  readonly service: ServiceObserver;
  /** Observer for the engine of a model. */
  engine(model: string): EngineObserver;
  /** @param route the template, never the path of the request */
  http(method: string, route: string, status: number, durationMs: number): void;
  /** @param method name of the call, never what a client sent; @param code name of the status */
  grpc(method: string, code: string, durationMs: number): void;
  /** The tokens file was read again, or could not be taken over. */
  tokensReloaded(result: "ok" | "failed"): void;
  readonly contentType: string;
  expose(): Promise<string>;
}

/** The first 12 hex digits of a detector id, or "none". */
export function detectorLabel(id: string | null): string {
  return id === null ? "none" : id.replace(/^sha256-/, "").slice(0, 12);
}

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.process !== false) {
    // The delay is measured by a timer of this period in ms, which every reading contains: the default, 10, hides what matters.
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 2 });
  }

  const bySample = ["model", "detector", "mode"] as const;
  const samples = new Counter({
    name: "atpatch_samples_total",
    help: "Samples answered.",
    labelNames: bySample,
    registers,
  });
  const triggeredSamples = new Counter({
    name: "atpatch_triggered_samples_total",
    help: "Samples with at least one flagged column; the trigger rate is its rate over that of atpatch_samples_total.",
    labelNames: bySample,
    registers,
  });
  const flaggedColumns = new Counter({
    name: "atpatch_flagged_columns_total",
    help: "Flagged key columns, by the site that flagged them first.",
    labelNames: ["model", "site"],
    registers,
  });
  new Gauge({
    name: "atpatch_detector_info",
    help: "1 for every detector in use.",
    labelNames: ["model", "detector", "role"],
    registers,
    collect() {
      this.reset();
      for (const { model, detector, role } of options.roles()) {
        this.set({ model, detector: detectorLabel(detector), role }, 1);
      }
    },
  });
  new Gauge({
    name: "atpatch_model_ready",
    help: "1 when the model takes requests, 0 when it has no ready worker or the server is draining.",
    labelNames: ["model"],
    registers,
    collect() {
      this.reset();
      for (const { model, ready } of options.ready?.() ?? []) this.set({ model }, Number(ready));
    },
  });
  const swaps = new Counter({
    name: "atpatch_detector_swaps_total",
    help: "Activations and rollbacks, by result (ok, refused: asked for something that cannot be, failed).",
    labelNames: ["model", "result"],
    registers,
  });
  const swapDuration = new Histogram({
    name: "atpatch_detector_swap_duration_seconds",
    help: "Time from the call to the moment every later request has the detector.",
    labelNames: ["model"],
    buckets: seconds,
    registers,
  });
  const stageDuration = new Histogram({
    name: "atpatch_stage_duration_seconds",
    help: "Time of the parts of an answer: decode, queue, infer, encode.",
    labelNames: ["model", "stage"],
    buckets: seconds,
    registers,
  });
  const failedOpen = new Counter({
    name: "atpatch_failed_open_total",
    help: "Requests answered unpatched because detection failed.",
    labelNames: ["model"],
    registers,
  });
  const guardRollbacks = new Counter({
    name: "atpatch_guard_rollbacks_total",
    help: "Detectors that the guard took out, by the rate that was over its limit (trigger_rate, label_flip_rate).",
    labelNames: ["model", "reason"],
    registers,
  });
  const shadowSamples = new Counter({
    name: "atpatch_shadow_samples_total",
    help: "Samples scored by a shadow, by whether the active detector and the shadow triggered.",
    labelNames: ["model", "active", "shadow"],
    registers,
  });
  const shadowDropped = new Counter({
    name: "atpatch_shadow_dropped_total",
    help: "Samples not scored by the shadow because scoring could not keep up.",
    labelNames: ["model"],
    registers,
  });
  const queueDepth = new Gauge({
    name: "atpatch_queue_depth",
    help: "Requests that wait for a worker.",
    labelNames: ["model"],
    registers,
  });
  const rejected = new Counter({
    name: "atpatch_rejected_total",
    help: "Requests that left the queue without an answer, by reason.",
    labelNames: ["model", "reason"],
    registers,
  });
  const workerRestarts = new Counter({
    name: "atpatch_worker_restarts_total",
    help: "Workers that were replaced after a crash.",
    labelNames: ["model"],
    registers,
  });
  const batchSize = new Histogram({
    name: "atpatch_batch_size",
    help: "Samples of one run.",
    labelNames: ["model"],
    buckets: batchSizes,
    registers,
  });
  const rechecked = new Counter({
    name: "atpatch_rechecked_samples_total",
    help: "Samples run a second time because their first flag came after the first site.",
    labelNames: ["model"],
    registers,
  });
  const tokenReloads = new Counter({
    name: "atpatch_tokens_reloads_total",
    help: "Attempts to read the tokens file again, by result (ok, failed).",
    labelNames: ["result"],
    registers,
  });
  const httpDuration = new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from the first byte of a request to the last of its answer.",
    labelNames: ["method", "route", "status"],
    buckets: seconds,
    registers,
  });

  const grpcDuration = new Histogram({
    name: "grpc_server_handling_seconds",
    help: "Time from the arrival of a gRPC call to its status.",
    labelNames: ["method", "code"],
    buckets: seconds,
    registers,
  });

  /** Alerts look at increases: a counter that is not there before the first one has none. */
  const seed = (model: string): void => {
    for (const result of ["ok", "refused", "failed"]) swaps.inc({ model, result }, 0);
    for (const reason of ["trigger_rate", "label_flip_rate"]) guardRollbacks.inc({ model, reason }, 0);
    failedOpen.inc({ model }, 0);
    workerRestarts.inc({ model }, 0);
  };
  for (const result of ["ok", "failed"]) tokenReloads.inc({ result }, 0);

  return {
    service: {
      answered({ model, detector, mode, samples: count, triggered, flagged }) {
        const labels = { model, detector: detectorLabel(detector), mode };
        samples.inc(labels, count);
        triggeredSamples.inc(labels, triggered);
        for (const [site, columns] of flagged) flaggedColumns.inc({ model, site }, columns);
      },
      stage(model, stage, milliseconds) {
        stageDuration.observe({ model, stage }, milliseconds / 1000);
      },
      swapped(model, result, milliseconds) {
        swaps.inc({ model, result });
        if (result === "ok") swapDuration.observe({ model }, milliseconds / 1000);
      },
      failedOpen(model) {
        failedOpen.inc({ model });
      },
      guarded(model, reason) {
        guardRollbacks.inc({ model, reason });
      },
      shadowed(model, active, shadow) {
        shadowSamples.inc({ model, active: Number(active), shadow: Number(shadow) });
      },
      shadowDropped(model, count) {
        shadowDropped.inc({ model }, count);
      },
    },
    engine: (model) => {
      seed(model);
      return {
        queueDepth: (depth) => queueDepth.set({ model }, depth),
        rejected: (reason) => rejected.inc({ model, reason }),
        workerRestarted: () => workerRestarts.inc({ model }),
        batch: (size) => batchSize.observe({ model }, size),
        rechecked: (count) => rechecked.inc({ model }, count),
      };
    },
    http(method, route, status, durationMs) {
      httpDuration.observe({ method, route, status }, durationMs / 1000);
    },
    grpc(method, code, durationMs) {
      grpcDuration.observe({ method, code }, durationMs / 1000);
    },
    tokensReloaded: (result) => tokenReloads.inc({ result }),
    contentType: registry.contentType,
    expose: () => registry.metrics(),
  };
}
