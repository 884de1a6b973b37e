/** How much attention the key columns of a sample get, before and after the patch. */
import type { RunResult } from "../engine/engine.ts";
import { hotfixNames, type SiteDescription } from "../shared/patched-model.ts";
import { visibleColumns } from "../shared/site-report.ts";
import { float32, type Tensor } from "../shared/tensor.ts";
import type { ColumnPlace } from "../tasks/task.ts";

/** Mean attention per column of one site: the mean over heads and over the queries that are no padding. */
export interface AttentionMass {
  readonly site: number;
  /** float32 [B, Tk]; a row sums to 1. */
  readonly before: Tensor;
  readonly after: Tensor;
}

/** Attention of one sample on all key columns of the first axis. */
export interface SampleAttention {
  /** What each column stands for; null for what the caller did not send: [CLS], padding. */
  readonly places: readonly (ColumnPlace | null)[];
  readonly sites: readonly {
    readonly site: number;
    readonly before: readonly number[];
    readonly after: readonly number[];
  }[];
}

/** @param locate place of a column of that sample */
export function sampleAttention(
  masses: readonly AttentionMass[],
  sites: readonly SiteDescription[],
  sample: number,
  locate: (column: number) => ColumnPlace | null,
): SampleAttention {
  const own = masses.filter(({ site }) => sites[site]!.axis === 0);
  const keys = own[0]?.before.shape[1] ?? 0;
  const row = ({ data }: Tensor): number[] =>
    // Five digits: it is for looking at.
    Array.from({ length: keys }, (_, key) => Number(Number(data[sample * keys + key]).toPrecision(5)));
  return {
    places: Array.from({ length: keys }, (_, key) => locate(key)),
    sites: own.map(({ site, before, after }) => ({ site, before: row(before), after: row(after) })),
  };
}

/** The masses at every site, from a run with taps and reports. */
export function attentionMasses(
  sites: readonly SiteDescription[],
  { outputs, reports }: Pick<RunResult, "outputs" | "reports">,
): AttentionMass[] {
  return sites.map(({ index, kind }) => {
    const visible = visibleColumns(reports!.find(({ site }) => site === index)!);
    const mass = (tap: "map" | "patched"): Tensor =>
      columnMass(outputs[hotfixNames.tap(tap, index)]!, kind === "self" ? visible : null);
    return { site: index, before: mass("map"), after: mass("patched") };
  });
}

/**
 * @param map float32 [B, H, Tq, Tk]
 * @param visible [B, Tk] when queries and keys are the same tokens: hidden ones do not count as queries
 */
function columnMass(map: Tensor, visible: Uint8Array | null): Tensor {
  const [batch, heads, queries, keys] = map.shape as [number, number, number, number];
  const mass = new Float32Array(batch * keys);
  for (let sample = 0; sample < batch; sample += 1) {
    const counts = (query: number): boolean =>
      visible === null || queries !== keys || visible[sample * keys + query]! > 0;
    const counted = Array.from({ length: queries }, (_, query) => query).filter(counts);
    const weight = 1 / Math.max(1, heads * counted.length);
    for (let head = 0; head < heads; head += 1) {
      for (const query of counted) {
        const row = ((sample * heads + head) * queries + query) * keys;
        for (let key = 0; key < keys; key += 1) {
          mass[sample * keys + key]! += Number(map.data[row + key]!) * weight;
        }
      }
    }
  }
  return float32([batch, keys], mass);
}
