/**
 * A detector on features that a run has reported, off the answer's path, by the very nodes that the operator runs. Loads the
 * runtime and blocks: for worker threads and commands.
 */
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import {
  networkTensorNames,
  settingIndex,
  type DetectorTensors,
  type NetworkTensorName,
} from "../shared/detector-tensors.ts";
import { graphTensor } from "../shared/graph-tensors.ts";
import { allFeatures, isVisible, type SiteReport } from "../shared/site-report.ts";
import type { Tensor } from "../shared/tensor.ts";

/** One detection site of a detector. */
export interface ScoredDetection {
  readonly site: number;
  /** Row of the stacked tensors. */
  readonly row: number;
  /** τ_hi. */
  readonly gate: number;
  readonly firstKey: number;
}

/** What scoring needs of a detector; plain data, so that it crosses threads. */
export interface Scorer {
  readonly detections: readonly ScoredDetection[];
  readonly network: Readonly<Record<NetworkTensorName, Tensor>>;
}

/** The scorer of a detector, on the same memory. */
export function scorerOf(tensors: DetectorTensors): Scorer {
  const thresholds = tensors.thresholds.data as Float32Array;
  const firstKey = Number(tensors.settings.data[settingIndex.firstKey]);
  const rows = Array.from(tensors.slot.data, Number);
  return {
    detections: rows.flatMap((row, site) =>
      row < 0 ? [] : [{ site, row, gate: thresholds[2 * row]!, firstKey }],
    ),
    network: Object.fromEntries(networkTensorNames.map((name) => [name, tensors[name]])) as Scorer["network"],
  };
}

/** Runs networks of detectors. */
export class ScoringSession {
  readonly #session: InferenceSession;
  readonly #networks = new WeakMap<Scorer, Record<string, OrtTensor>>();

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** @param model the bytes of `hotfix/score-model.ts` */
  static async create(model: Uint8Array): Promise<ScoringSession> {
    const session = await InferenceSession.create(model, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
    });
    return new ScoringSession(session);
  }

  /**
   * Whether the detector would have triggered on each sample: a visible column from firstKey on whose logit reaches the gate at
   * one of its sites. Sites that are not reported, or did not run, say nothing.
   */
  async gates(scorer: Scorer, reports: readonly SiteReport[], batch: number): Promise<boolean[]> {
    const open = Array.from({ length: batch }, () => false);
    for (const detection of scorer.detections) {
      const report = reports.find(({ site }) => site === detection.site);
      if (report === undefined || report.keys === 0) continue;
      const logits = await this.logits(scorer, detection, report);
      for (let sample = 0; sample < batch; sample++) {
        open[sample] ||= opens(detection, report, logits, sample);
      }
    }
    return open;
  }

  /** Logits of every column of a report, [B·T]. */
  async logits(scorer: Scorer, { row }: ScoredDetection, report: SiteReport): Promise<Float32Array> {
    const { keys, windows, width } = report;
    const features = allFeatures(report);
    if (features.length === 0) return new Float32Array(0);
    // The convolution runs over the columns of one window alone.
    const length = keys / windows;
    const rows = features.length / width / length;
    const { logits } = await this.#session.run({
      ...this.#network(scorer),
      row: new OrtTensor("int64", BigInt64Array.of(BigInt(row)), []),
      features: new OrtTensor("float32", features, [rows, width, length]),
    });
    return logits!.data as Float32Array;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #network(scorer: Scorer): Record<string, OrtTensor> {
    const known = this.#networks.get(scorer);
    if (known !== undefined) return known;
    const made = Object.fromEntries(
      networkTensorNames.map((name) => {
        const { data, shape } = graphTensor(name, scorer.network[name]);
        return [name, new OrtTensor("float32", data as Float32Array, shape)];
      }),
    );
    this.#networks.set(scorer, made);
    return made;
  }
}

function opens(
  { gate, firstKey }: ScoredDetection,
  report: SiteReport,
  logits: Float32Array,
  sample: number,
): boolean {
  const { keys } = report;
  const length = keys / report.windows;
  for (let key = 0; key < keys; key++) {
    const at = sample * keys + key;
    if (key % length >= firstKey && logits[at]! >= gate && isVisible(report, at)) return true;
  }
  return false;
}
