/** One runtime session of a patched model and the detectors it can run with. For worker threads only: everything here blocks. */
import { InferenceSession, type Tensor as OrtTensor } from "onnxruntime-node";
import { attentionFeatureCount, type DetectorTensors } from "../shared/detector-tensors.ts";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { hotfixNames, modeCodes, type PatchDescription } from "../shared/patched-model.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { Tensor } from "../shared/tensor.ts";
import { DetectorFeeds } from "./detector-feeds.ts";
import type { AxisFlags } from "./engine.ts";
import { joinForced } from "./force.ts";
import { ownedFrame, unpackFrame, type Frame } from "./frame.ts";
import { cleanRuntimeMessage } from "./ort-errors.ts";
import { fromOrtTensor, toOrtTensor } from "./ort-tensors.ts";
import type { DetectorKey, RunMessage, RunOutcome, SessionSettings, WorkerStart } from "./protocol.ts";
import { firstSites, runRechecked, type Pass, type PassFeeds } from "./recheck.ts";

type Feeds = Record<string, OrtTensor>;

export class PatchedSession {
  readonly #session: InferenceSession;
  readonly #description: PatchDescription;
  readonly #folder: string;
  readonly #firstSites: readonly number[];
  readonly #detectors = new Map<DetectorKey, DetectorFeeds>();

  private constructor(session: InferenceSession, { description, session: { folder } }: WorkerStart) {
    this.#session = session;
    this.#folder = folder;
    this.#description = description;
    this.#firstSites = firstSites(description.sites, description.axes);
  }

  /** @throws AtPatchError ATPATCH_BAD_MODEL when the runtime cannot load the model */
  static async create(start: WorkerStart): Promise<PatchedSession> {
    try {
      // The runtime takes no bytes on shared memory.
      const bytes = Uint8Array.from(start.model);
      return new PatchedSession(await InferenceSession.create(bytes, sessionOptions(start.session)), start);
    } catch (cause) {
      const reason = cleanRuntimeMessage(messageOf(cause), start.session.folder);
      throw new AtPatchError("ATPATCH_BAD_MODEL", `the runtime cannot load the model: ${reason}`, { cause });
    }
  }

  get outputs(): readonly string[] {
    return this.#session.outputNames;
  }

  /** Keeps a detector's tensors, ready to be fed. */
  publish(detector: DetectorKey, tensors: Frame): void {
    const own: unknown = unpackFrame(ownedFrame(tensors));
    this.#detectors.set(detector, new DetectorFeeds(own as DetectorTensors));
  }

  retire(detector: DetectorKey): void {
    this.#detectors.delete(detector);
  }

  /**
   * @throws AtPatchError ATPATCH_UNPROCESSABLE when the runtime refuses the inputs, ATPATCH_UNKNOWN_DETECTOR
   */
  async run(message: RunMessage): Promise<RunOutcome> {
    const started = performance.now();
    const detector = this.#detectors.get(message.detector);
    if (detector === undefined) {
      throw new AtPatchError("ATPATCH_UNKNOWN_DETECTOR", `detector ${message.detector} is not published`);
    }
    const feeds = this.#passFeeds(message, detector);
    const run = (pass: PassFeeds): Promise<Pass> => this.#pass(detector, pass, message.outputs);
    const result = message.recheck
      ? await runRechecked(run, feeds, this.#firstSites)
      : { ...(await run(feeds)), rechecked: [] };
    const { reports, ...rest } = result;
    const reported = message.report.length > 0 && { reports };
    const forced = detector.forcedColumns.length > 0 && { forced: detector.forcedColumns };
    return { ...rest, ...forced, ...reported, inferMs: performance.now() - started };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #passFeeds({ feeds, batch, report, attention }: RunMessage, detector: DetectorFeeds): PassFeeds {
    const tensors = unpackFrame(feeds);
    const inputs = Object.fromEntries(this.#description.inputs.map(({ name }) => [name, tensors[name]!]));
    const force: Record<number, Tensor> = {};
    for (let axis = 0; axis < this.#description.axes; axis++) {
      const forced = tensors[hotfixNames.force(axis)];
      if (forced !== undefined) force[axis] = forced;
    }
    if (detector.forced) force[0] = joinForced(force[0], detector.forced, batch);
    return { batch, inputs, modes: tensors[hotfixNames.mode]!, force, report, attention };
  }

  async #pass(detector: DetectorFeeds, pass: PassFeeds, outputs: readonly string[]): Promise<Pass> {
    const { axes } = this.#description;
    const observed = (pass.modes.data as Int32Array).some((mode) => mode !== modeCodes.off);
    const { feeds: detecting, pointwise } = detector.for({ ...pass, observed });
    const feeds: Feeds = { ...detecting, [hotfixNames.mode]: toOrtTensor(hotfixNames.mode, pass.modes) };
    const fetches = [...outputs];
    for (const site of pass.report) {
      fetches.push(hotfixNames.reported(site));
      if (pointwise.includes(site)) fetches.push(hotfixNames.values(site));
    }
    for (const [name, tensor] of Object.entries(pass.inputs)) feeds[name] = toOrtTensor(name, tensor);
    for (let axis = 0; axis < axes; axis++) {
      const name = hotfixNames.force(axis);
      feeds[name] = toOrtTensor(name, pass.force[axis] ?? unforced(pass.batch));
      fetches.push(hotfixNames.flags(axis), hotfixNames.scores(axis));
    }
    const results = await this.#runSession(feeds, fetches);
    const fetched = (name: string): Tensor => fromOrtTensor(name, results[name]!);
    return {
      outputs: Object.fromEntries(outputs.map((name) => [name, fetched(name)])),
      flags: Array.from({ length: axes }, (_, axis) => axisFlags(results, axis)),
      reports: pass.report.map((site) => {
        const reported = fetched(hotfixNames.reported(site));
        if (!pointwise.includes(site)) return siteReport(site, reported, pass.batch);
        return pointwiseReport(site, reported, fetched(hotfixNames.values(site)), pass.batch);
      }),
    };
  }

  async #runSession(feeds: Feeds, fetches: readonly string[]): Promise<InferenceSession.OnnxValueMapType> {
    try {
      return await this.#session.run(feeds, fetches);
    } catch (cause) {
      const reason = cleanRuntimeMessage(messageOf(cause), this.#folder);
      throw new AtPatchError("ATPATCH_UNPROCESSABLE", `the model refused the inputs: ${reason}`, { cause });
    }
  }
}

/** BOOL [B, 1], all false. */
function unforced(batch: number): Tensor {
  return { datatype: "BOOL", shape: [batch, 1], data: new Uint8Array(batch) };
}

/** @param reported float32 [B', F, T'], B' = B times the windows of a sample; empty when the site did not run */
function siteReport(site: number, { shape, data }: Tensor, batch: number): SiteReport {
  const [rows = 0, width = 0, length = 0] = shape;
  const windows = Math.max(1, rows / batch);
  return { site, keys: windows * length, windows, width, features: data as Float32Array };
}

/**
 * The same of a site that detected in the pointwise form.
 * @param largest float32 [B', 1, T']
 * @param values float32 [B'·T', H·d]
 */
function pointwiseReport(site: number, largest: Tensor, values: Tensor, batch: number): SiteReport {
  const report = siteReport(site, largest, batch);
  if (report.keys === 0) return report;
  const width = attentionFeatureCount + values.shape[1]!;
  return { ...report, width, features: values.data as Float32Array, largest: report.features };
}

function axisFlags(results: InferenceSession.OnnxValueMapType, axis: number): AxisFlags {
  const flags = results[hotfixNames.flags(axis)]!;
  const scores = results[hotfixNames.scores(axis)]!;
  return {
    keys: flags.dims[1]!,
    firstSite: flags.data as Int32Array,
    score: scores.data as Float32Array,
  };
}

function sessionOptions(settings: SessionSettings): InferenceSession.SessionOptions {
  return {
    executionProviders: [...settings.providers],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: settings.graphOptimization,
    // 4: nothing that is not fatal; errors are thrown too, and printing them would go past the log to stderr.
    logSeverityLevel: 4,
    extra: {
      session: {
        model_external_initializers_file_folder_path: settings.folder,
        // Spinning threads of several sessions take the cores from each other.
        intra_op: { allow_spinning: "0" },
      },
    },
  };
}
