/** The composition root of one model: which implementations stand behind a served model. */
import { createReadStream } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openEngine, openMeasuredEngine, type ServedEngineSettings } from "./compose-engine.ts";
import { parseBundle } from "./detector/bundle.ts";
import { FileStore } from "./detector/file-store.ts";
import { defaultPolicy } from "./detector/policy.ts";
import { DetectorRegistry } from "./detector/registry.ts";
import { importShipped } from "./detector/shipped.ts";
import type { ShadowScorer } from "./detector/shadow-scorer.ts";
import type { DetectorStore } from "./detector/store.ts";
import { instrument } from "./hotfix/instrument.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { ModelCounters } from "./service/counters.ts";
import { Explainer, explainTaps } from "./service/explainer.ts";
import type { EventBus } from "./service/events.ts";
import { goldenTest, type GoldenSample } from "./service/golden-test.ts";
import { Guard } from "./service/guard.ts";
import { LabelFlips } from "./service/label-flips.ts";
import { ModelWatch } from "./service/model-watch.ts";
import type { ServedModel } from "./service/models.ts";
import { FlightRecorder, noRecording, type RecorderSettings } from "./service/recorder.ts";
import { selfTest } from "./service/self-test.ts";
import { ShadowTable } from "./service/shadow-table.ts";
import { ModelStatistics } from "./service/statistics.ts";
import type { Settings } from "./settings.ts";
import type { ModelFile } from "./shared/model-file.ts";
import { createTask, type TaskModel } from "./tasks/create-task.ts";
import { readTryOut, type TryOut } from "./tasks/model-samples.ts";
import { readModelFile } from "./tasks/model-file.ts";
import type { ModelFolder } from "./tasks/model-folder.ts";
import type { Task } from "./tasks/task.ts";
import { readDebugSet } from "./training/debug-set.ts";

/** What a model is served from. */
export interface ModelParts {
  readonly name: string;
  readonly version: string;
  /** Reads the model file; its bytes are not kept. */
  readonly file: () => Promise<ModelFile>;
  /** Folder that the model file lies in. */
  readonly folder: string;
  readonly task: (model: TaskModel) => Promise<Task>;
  readonly store: () => Promise<DetectorStore>;
  /** Bundles that come with the model. */
  readonly shipped: readonly Uint8Array[];
  /** Reads the clean samples that detectors are tried out on. */
  readonly golden?: () => Promise<readonly GoldenSample[]>;
  readonly policy?: ModelFolder["settings"]["policy"];
  /** Nothing is recorded when absent. */
  readonly recording?: RecorderSettings;
  /** Nothing is offered to be tried out when absent. */
  readonly tryOut?: () => Promise<TryOut>;
}

/** What the models of a server share. */
export interface ModelSurroundings {
  readonly metrics: Metrics;
  readonly events: EventBus;
  readonly scorer: ShadowScorer;
  readonly warn: (message: string) => void;
}

/**
 * Instruments a model, starts its engine and takes up its detectors.
 * @throws AtPatchError ATPATCH_BAD_MODEL, ATPATCH_MODEL_REFUSED, and what the store and the registry throw
 */
export async function openModel(
  parts: ModelParts,
  settings: ServedEngineSettings & Pick<Settings, "maxInstances">,
  surroundings: ModelSurroundings,
): Promise<ServedModel> {
  const { metrics, events, scorer, warn } = surroundings;
  const { name, version, folder } = parts;
  const patched = instrument(await parts.file());
  const { description } = patched;
  const task = await parts.task(description);
  const statistics = new ModelStatistics();
  const observer = metrics.engine(name);
  const { engine, compute } = await openMeasuredEngine(patched, folder, settings, {
    ...observer,
    batch: (samples) => {
      observer.batch?.(samples);
      statistics.executed();
    },
  });
  try {
    const store = await parts.store();
    const registry = await DetectorRegistry.open({
      model: name,
      store,
      description,
      host: {
        publish: (id, tensors) => {
          scorer.publish(id, tensors);
          return engine.publish(id, tensors);
        },
        retire: (id) => {
          scorer.retire(id);
          return engine.retire(id);
        },
        selfTest: async (id, _tensors, metadata) => {
          const report = await selfTest(engine, id, metadata);
          const { golden } = parts;
          return golden ? { ...report, golden: await goldenTest(engine, task, id, golden) } : report;
        },
      },
      policy: { ...defaultPolicy, ...parts.policy },
      warn,
    });
    const { warnings } = await importShipped(registry, parts.shipped);
    for (const warning of warnings) warn(warning);
    const explainer = new Explainer({
      open: async () => {
        const tapped = instrument(await parts.file(), { taps: explainTaps });
        return openEngine(tapped, folder, { ...settings, ...compute, workers: 1, queue: 16, batch: 1 });
      },
      bundle: async (id) => parseBundle(await registry.content(id)),
      warn,
    });
    const recorder = new FlightRecorder(parts.recording ?? noRecording);
    return {
      name,
      version,
      task,
      engine,
      compute,
      registry,
      explainer,
      counters: new ModelCounters(),
      watch: new ModelWatch(
        await Guard.open({ registry, events, observer: metrics.service, warn }),
        new ShadowTable(registry, scorer, metrics.service),
        new LabelFlips(engine, task),
      ),
      recorder,
      tryOut: parts.tryOut ?? (() => Promise.resolve({ columns: null, samples: [] })),
      statistics,
      maxInstances: settings.maxInstances,
      deadlineMs: settings.deadlineMs,
      close: async () => {
        recorder.close();
        await Promise.all([engine.close(), explainer.close()]);
        await store.close();
      },
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Serves a model folder; its own `atpatch.json` goes before the settings of the server. */
export async function loadServedModel(
  folder: ModelFolder,
  settings: Settings,
  surroundings: ModelSurroundings,
): Promise<ServedModel> {
  const { engine = {}, policy } = folder.settings;
  const { absolute } = folder.model;
  const golden = join(folder.directory, "golden.jsonl.gz");
  const hasGolden = await access(golden).then(
    () => true,
    () => false,
  );
  return openModel(
    {
      name: folder.name,
      version: folder.version,
      file: () => readModelFile(absolute),
      folder: dirname(absolute),
      task: (model) => createTask(folder, model),
      store: () => FileStore.open({ root: settings.state, model: folder.name }),
      shipped: await Promise.all(folder.detectors.map((file) => readFile(file.absolute))),
      tryOut: () => readTryOut(folder),
      recording: {
        mode: settings.record,
        samples: settings.recordSamples,
        bytes: settings.recordBytes,
        ageMs: settings.recordAgeS * 1000,
      },
      ...(policy && { policy }),
      ...(hasGolden && { golden: () => readDebugSet(createReadStream(golden)) }),
    },
    {
      ...settings,
      workers: engine.workers ?? settings.workers,
      threads: engine.threads ?? settings.threads,
      queue: engine.queue ?? settings.queue,
      deadlineMs: engine.deadline_ms ?? settings.deadlineMs,
      batch: engine.batch ?? settings.batch,
      batchDelayMs: engine.batch_delay_ms ?? settings.batchDelayMs,
    },
    surroundings,
  );
}
