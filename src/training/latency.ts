/** What the patch costs a single request, measured side by side in this run. */
import { modeCodes } from "../shared/patched-model.ts";
import { median } from "./median.ts";
import type { ModelRuns } from "./model-runs.ts";
import { stackInputs } from "./sample-store.ts";

/** Medians in milliseconds of one sample at a time; they say something of this machine at this moment only. */
export interface Latency {
  readonly samples: number;
  readonly unpatched_ms: number | null;
  readonly patched_ms: number | null;
  /** Median of the ratios of neighbouring runs, patched to unpatched. */
  readonly ratio: number | null;
}

/** Samples that are timed, and runs of each before any is. */
const timed = 40;
const warmUp = 5;

/** @param samples which samples to time; the first forty are */
export async function latency(
  runs: ModelRuns,
  samples: readonly number[],
  detector: string | null,
): Promise<Latency> {
  const chosen = samples.slice(0, timed);
  const prepared = await runs.store.prepare(chosen);
  const rows = runs.task.batch ?? 1;
  const time = async (at: number, mode: "off" | "enforce"): Promise<number> => {
    const { inferMs } = await runs.engine.run({
      inputs: stackInputs([prepared[at]!], rows),
      batch: rows,
      modes: new Int32Array(rows).fill(modeCodes[mode]),
      detector,
    });
    return inferMs;
  };
  for (let at = 0; at < Math.min(warmUp, chosen.length); at++) {
    await time(at, "off");
    await time(at, "enforce");
  }
  const pairs: [number, number][] = [];
  for (let at = 0; at < chosen.length; at++) {
    // Whoever goes first is warmer in the other one's place: they take turns.
    const first = at % 2 === 0 ? "off" : "enforce";
    const one = await time(at, first);
    const other = await time(at, first === "off" ? "enforce" : "off");
    pairs.push(first === "off" ? [one, other] : [other, one]);
  }
  return {
    samples: pairs.length,
    unpatched_ms: median(pairs.map(([off]) => off)),
    patched_ms: median(pairs.map(([, on]) => on)),
    ratio: median(pairs.map(([off, on]) => on / off)),
  };
}
