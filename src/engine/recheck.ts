/**
 * The second pass. When the first flag of a sample comes at a later site, the earlier sites have already let the column
 * through, and repairing the rest does not help. Such samples run once more with the flagged columns forced from the
 * first site on; the others keep their outputs bit for bit. Pure: the pass itself is handed in.
 */
import { modeCodes, type SiteDescription } from "../shared/patched-model.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { SiteReport } from "../shared/site-report.ts";
import type { AxisFlags } from "./engine.ts";
import { isBatchFirst, putSamples, takeSamples } from "./slice.ts";

/** What one pass is fed with. */
export interface PassFeeds {
  readonly batch: number;
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** int32 [B], see `modeCodes`. */
  readonly modes: Tensor;
  /** Forced columns per key axis, BOOL [B, T] or [B, 1]; absent: none. */
  readonly force: Readonly<Record<number, Tensor>>;
  /** Sites that report their features, and whether φ is among them. */
  readonly report: readonly number[];
  readonly attention: boolean;
}

/** What one pass gives. */
export interface Pass {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** One entry per key axis. */
  readonly flags: readonly AxisFlags[];
  /** One for each site that was asked for. */
  readonly reports: readonly SiteReport[];
}

/** Index of the first site of every key axis. */
export function firstSites(sites: readonly SiteDescription[], axes: number): number[] {
  return Array.from({ length: axes }, (_, axis) =>
    Math.min(...sites.filter((site) => site.axis === axis).map((site) => site.index)),
  );
}

/**
 * Runs a pass, and a second one over the samples that need it.
 * @param first index of the first site per key axis
 */
export async function runRechecked(
  run: (feeds: PassFeeds) => Promise<Pass>,
  feeds: PassFeeds,
  first: readonly number[],
): Promise<Pass & { readonly rechecked: readonly number[]; readonly recheckMs?: number }> {
  const pass = await run(feeds);
  const late = lateSamples(feeds, pass.flags, first);
  if (late.length === 0) return { ...pass, rechecked: [] };

  const began = performance.now();
  // The first pass has reported: in the second, forced columns have changed what later sites see.
  const again: PassFeeds = { ...feeds, force: forceFlagged(feeds, pass.flags, late), report: [] };
  const separable =
    late.length < feeds.batch &&
    [...Object.values(feeds.inputs), ...Object.values(pass.outputs)].every((tensor) =>
      isBatchFirst(tensor, feeds.batch),
    );
  if (!separable) {
    const second = await run(again);
    return {
      ...pass,
      outputs: second.outputs,
      flags: mergeFlags(pass.flags, second.flags),
      rechecked: late,
      recheckMs: performance.now() - began,
    };
  }
  const second = await run(takeFeeds(again, late));
  for (const [name, rows] of Object.entries(second.outputs)) putSamples(pass.outputs[name]!, late, rows);
  return {
    ...pass,
    flags: mergeFlags(pass.flags, scatterFlags(second.flags, late, feeds.batch)),
    rechecked: late,
    recheckMs: performance.now() - began,
  };
}

/**
 * Samples in mode enforce whose earliest flag, on some axis, is behind that axis' first site. Columns that the request
 * forced do not count: they are flagged from the first site on and would hide a late find.
 */
export function lateSamples(
  feeds: PassFeeds,
  flags: readonly AxisFlags[],
  first: readonly number[],
): number[] {
  const late: number[] = [];
  for (let sample = 0; sample < feeds.batch; sample++) {
    if (feeds.modes.data[sample] !== modeCodes.enforce) continue;
    const isLate = flags.some(({ keys, firstSite }, axis) => {
      let earliest = Infinity;
      for (let key = 0; key < keys; key++) {
        const site = firstSite[sample * keys + key]!;
        if (site !== 0 && site < earliest && !isForced(feeds, axis, sample, key)) earliest = site;
      }
      return earliest !== Infinity && earliest > 1 + first[axis]!;
    });
    if (isLate) late.push(sample);
  }
  return late;
}

function isForced({ force }: PassFeeds, axis: number, sample: number, key: number): boolean {
  const forced = force[axis];
  if (forced === undefined) return false;
  const keys = forced.shape[1] ?? 1;
  return forced.data[sample * keys + (keys === 1 ? 0 : key)] !== 0;
}

/** What was forced, and for the named samples every flagged column too: BOOL [B, T] per axis. */
function forceFlagged(
  feeds: PassFeeds,
  flags: readonly AxisFlags[],
  samples: readonly number[],
): Record<number, Tensor> {
  const flagged = new Set(samples);
  return Object.fromEntries(
    flags.map(({ keys, firstSite }, axis) => {
      const data = new Uint8Array(feeds.batch * keys);
      for (let at = 0; at < data.length; at++) {
        const sample = Math.floor(at / keys);
        const found = flagged.has(sample) && firstSite[at] !== 0;
        data[at] = found || isForced(feeds, axis, sample, at % keys) ? 1 : 0;
      }
      return [axis, { datatype: "BOOL", shape: [feeds.batch, keys], data } satisfies Tensor];
    }),
  );
}

function takeFeeds(feeds: PassFeeds, samples: readonly number[]): PassFeeds {
  const take = <K extends string | number>(tensors: Readonly<Record<K, Tensor>>) =>
    Object.fromEntries(
      Object.entries<Tensor>(tensors).map(([name, tensor]) => [name, takeSamples(tensor, samples)]),
    );
  return {
    ...feeds,
    batch: samples.length,
    inputs: take(feeds.inputs),
    modes: takeSamples(feeds.modes, samples),
    force: take(feeds.force),
  };
}

/** Flags of the second pass at their place in the whole batch; zero for samples that were not in it. */
function scatterFlags(flags: readonly AxisFlags[], samples: readonly number[], batch: number): AxisFlags[] {
  return flags.map(({ keys, firstSite, score }) => {
    const whole = { keys, firstSite: new Int32Array(batch * keys), score: new Float32Array(batch * keys) };
    samples.forEach((sample, row) => {
      whole.firstSite.set(firstSite.subarray(row * keys, (row + 1) * keys), sample * keys);
      whole.score.set(score.subarray(row * keys, (row + 1) * keys), sample * keys);
    });
    return whole;
  });
}

/** Where and how strongly a column was found first; the second pass, which had it forced, only adds columns. */
function mergeFlags(found: readonly AxisFlags[], added: readonly AxisFlags[]): AxisFlags[] {
  return found.map(({ keys, firstSite, score }, axis) => {
    const more = added[axis]!;
    return {
      keys,
      firstSite: firstSite.map((site, at) => (site === 0 ? more.firstSite[at]! : site)),
      score: score.map((value, at) => (firstSite[at] === 0 ? more.score[at]! : value)),
    };
  });
}
