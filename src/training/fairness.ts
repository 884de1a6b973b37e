/**
 * Group fairness of a binary decision. Definitions as in AIF360 (R. Bellamy et al., IBM J. Res. Dev. 63, 2019); every
 * figure depends on how many samples there are of each group, true outcome and answer, so that a bootstrap draws those
 * eight counts instead of samples.
 */
import type { Random } from "./random.ts";

/** One judged person. */
export interface Decision {
  readonly privileged: boolean;
  /** Whether the true class is the favourable one. */
  readonly deserved: boolean;
  /** Whether the answer is the favourable one. */
  readonly granted: boolean;
}

/** A figure with its bootstrap interval at 95 %; null where a group has no such samples. */
export interface Figure {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

export interface GroupFairness {
  /** Statistical parity difference: share granted, unprivileged − privileged. */
  readonly spd: Figure;
  /** Disparate impact: the same as a ratio. */
  readonly di: Figure;
  /** Equal opportunity difference: true positive rate, unprivileged − privileged. */
  readonly eod: Figure;
  /** Average absolute odds difference: mean of |ΔTPR| and |ΔFPR|. */
  readonly aaod: Figure;
  readonly accuracy: Figure;
  /** Matthews correlation coefficient. */
  readonly mcc: Figure;
}

type Counts = readonly number[];
type Measures = Readonly<Record<keyof GroupFairness, number | null>>;

const draws = 1000;

/** Position of a decision among the eight counts. */
function cell({ privileged, deserved, granted }: Decision): number {
  return 4 * Number(privileged) + 2 * Number(deserved) + Number(granted);
}

/** @param random seeds the bootstrap: the same numbers give the same intervals */
export function groupFairness(decisions: readonly Decision[], random: Random): GroupFairness {
  const counts = Array.from({ length: 8 }, () => 0);
  for (const decision of decisions) counts[cell(decision)]! += 1;
  const resampled = Array.from({ length: draws }, () => measures(resample(counts, random)));
  const value = measures(counts);
  const figure = (name: keyof GroupFairness): Figure => {
    const all = resampled.flatMap((each) => (each[name] === null ? [] : [each[name]])).sort((a, b) => a - b);
    if (value[name] === null || all.length === 0) return { value: value[name], low: null, high: null };
    const at = (share: number): number => all[Math.round(share * (all.length - 1))]!;
    return { value: value[name], low: at(0.025), high: at(0.975) };
  };
  return {
    spd: figure("spd"),
    di: figure("di"),
    eod: figure("eod"),
    aaod: figure("aaod"),
    accuracy: figure("accuracy"),
    mcc: figure("mcc"),
  };
}

/** The figures of eight counts. */
export function measures(counts: Counts): Measures {
  const of = (privileged: 0 | 1, deserved: 0 | 1, granted: 0 | 1): number =>
    counts[4 * privileged + 2 * deserved + granted]!;
  const share = (hits: number, all: number): number | null => (all === 0 ? null : hits / all);
  const grantedTo = (group: 0 | 1): number | null => {
    const hits = of(group, 0, 1) + of(group, 1, 1);
    return share(hits, hits + of(group, 0, 0) + of(group, 1, 0));
  };
  const rate = (group: 0 | 1, deserved: 0 | 1): number | null =>
    share(of(group, deserved, 1), of(group, deserved, 1) + of(group, deserved, 0));
  const minus = (a: number | null, b: number | null): number | null =>
    a === null || b === null ? null : a - b;
  const [truePositive, falsePositive] = [minus(rate(0, 1), rate(1, 1)), minus(rate(0, 0), rate(1, 0))];
  const both = (deserved: 0 | 1, granted: 0 | 1): number =>
    of(0, deserved, granted) + of(1, deserved, granted);
  const [tp, fn, fp, tn] = [both(1, 1), both(1, 0), both(0, 1), both(0, 0)];
  const spread = Math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
  const privileged = grantedTo(1);
  const unprivileged = grantedTo(0);
  return {
    spd: minus(unprivileged, privileged),
    di: privileged === null || unprivileged === null || privileged === 0 ? null : unprivileged / privileged,
    eod: truePositive,
    aaod:
      truePositive === null || falsePositive === null
        ? null
        : (Math.abs(truePositive) + Math.abs(falsePositive)) / 2,
    accuracy: share(tp + tn, tp + tn + fp + fn),
    mcc: spread === 0 ? null : (tp * tn - fp * fn) / spread,
  };
}

/** As many samples drawn with replacement: one binomial draw a cell, of what the earlier cells left. */
function resample(counts: Counts, random: Random): number[] {
  let left = counts.reduce((a, b) => a + b, 0);
  let weight = left;
  return counts.map((count) => {
    const drawn = weight === 0 ? 0 : binomial(left, count / weight, random);
    left -= drawn;
    weight -= count;
    return drawn;
  });
}

/** Below this many expected hits and misses the normal approximation is left for counting. */
const few = 30;

function binomial(n: number, p: number, random: Random): number {
  if (p >= 1) return n;
  if (n * p < few || n * (1 - p) < few) {
    // Waiting times between hits (or misses) are geometric.
    const rare = Math.min(p, 1 - p);
    if (rare <= 0) return p > 0.5 ? n : 0;
    let hits = 0;
    for (let at = wait(rare, random); at <= n; at += wait(rare, random)) hits += 1;
    return p > 0.5 ? n - hits : hits;
  }
  const drawn = Math.round(n * p + Math.sqrt(n * p * (1 - p)) * normal(random));
  return Math.max(0, Math.min(n, drawn));
}

function wait(p: number, random: Random): number {
  return 1 + Math.floor(Math.log(1 - random.uniform()) / Math.log(1 - p));
}

/** Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
}
