/** Flags of a run as the columns a caller reads about. */
import type { AxisFlags } from "../engine/engine.ts";
import type { SiteDescription } from "../shared/patched-model.ts";
import type { ColumnPlace } from "../tasks/task.ts";
import type { AttentionMass } from "./attention-mass.ts";

/** A flagged key column of one sample. */
export interface FlaggedColumn {
  /** Key position. */
  readonly index: number;
  /** Key axis, when the model has several. */
  readonly axis?: number;
  /** Detector probability: sigmoid of its logit. */
  readonly score: number;
  /** Repaired in every sample, whatever it holds; absent when the detector found the column. */
  readonly forced?: true;
  /** Sites at which the column is treated: from the first that flagged it on, within its axis. */
  readonly sites: readonly number[];
  /** What the column stands for in the instance; absent when it stands for nothing the caller sent. */
  readonly at?: ColumnPlace;
  /** Mean attention on the column before and after the patch, per site of its axis. */
  readonly attention?: readonly ColumnAttention[];
}

export interface ColumnAttention {
  readonly site: number;
  readonly before: number;
  readonly after: number;
}

/** The first key axis is the one that instances are laid out on. */
const instanceAxis = 0;

export interface ColumnSources {
  readonly flags: readonly AxisFlags[];
  /** Columns of the first key axis that the detector forces in every sample. */
  readonly forced?: readonly number[] | undefined;
  readonly sites: readonly SiteDescription[];
  readonly locate: (column: number) => ColumnPlace | null;
  /** Masses at every site, when an explanation was asked for. */
  readonly masses: readonly AttentionMass[] | null;
}

/** Flagged columns of sample `sample`, by axis and position. */
export function flaggedColumns(sample: number, sources: ColumnSources): FlaggedColumn[] {
  const { flags, forced = [], sites, locate, masses } = sources;
  return flags.flatMap(({ keys, firstSite, score }, axis) => {
    const columns: FlaggedColumn[] = [];
    for (let index = 0; index < keys; index += 1) {
      const first = firstSite[sample * keys + index]!;
      if (first === 0) continue;
      const at = axis === instanceAxis ? locate(index) : null;
      const isForced = axis === instanceAxis && forced.includes(index);
      columns.push({
        index,
        ...(flags.length > 1 && { axis }),
        score: isForced ? 1 : sigmoid(score[sample * keys + index]!),
        ...(isForced && { forced: true }),
        sites: sites
          .filter((site) => site.axis === axis && site.index >= first - 1)
          .map((site) => site.index),
        ...(at !== null && { at }),
        ...(masses && {
          attention: attentionOn(
            masses.filter(({ site }) => sites[site]!.axis === axis),
            sample,
            index,
          ),
        }),
      });
    }
    return columns;
  });
}

function attentionOn(masses: readonly AttentionMass[], sample: number, column: number): ColumnAttention[] {
  return masses.map(({ site, before, after }) => {
    const at = sample * before.shape[1]! + column;
    return { site, before: Number(before.data[at]), after: Number(after.data[at]) };
  });
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
