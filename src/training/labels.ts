/**
 * Labels of key columns for the fit. Positive: anomalous columns of failing samples. Left out: the ring around them,
 * because a trigger touches more columns than it needs. Negative: every other visible column, and those of clean samples.
 */
import type { KeyLayout } from "../tasks/task.ts";
import type { ColumnRef, SampleColumns, SiteColumns } from "./columns.ts";
import type { LabelledColumns } from "./fit.ts";
import type { TrainingData } from "./training-data.ts";

/** Span of a token in its text: pieces of one word touch. */
export interface TokenSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * The ring around `columns`: the eight neighbours of a patch in its grid; the other pieces of the same word where
 * tokens are known, else the next neighbours in the sequence; nothing for features.
 * @param spans span of each key column that is a token of a text, by key
 */
export function ringAround(
  columns: readonly number[],
  layout: KeyLayout,
  keys: number,
  spans: ReadonlyMap<number, TokenSpan> = new Map(),
): Set<number> {
  const ring = new Set<number>();
  for (const column of columns) for (const near of neighbours(column, layout, keys, spans)) ring.add(near);
  for (const column of columns) ring.delete(column);
  return ring;
}

function neighbours(
  column: number,
  layout: KeyLayout,
  keys: number,
  spans: ReadonlyMap<number, TokenSpan>,
): number[] {
  if (layout.kind === "features") return [];
  if (layout.kind === "grid") {
    const place = column - layout.firstKey;
    const [row, at] = [Math.floor(place / layout.columns), place % layout.columns];
    const near: number[] = [];
    for (let r = Math.max(0, row - 1); r <= Math.min(layout.rows - 1, row + 1); r++) {
      for (let c = Math.max(0, at - 1); c <= Math.min(layout.columns - 1, at + 1); c++) {
        near.push(layout.firstKey + r * layout.columns + c);
      }
    }
    return near;
  }
  if (!spans.has(column)) {
    return [column - 1, column + 1].filter((near) => near >= layout.firstKey && near < keys);
  }
  const near: number[] = [];
  for (let at = column; touches(spans.get(at - 1), spans.get(at)); at--) near.push(at - 1);
  for (let at = column; touches(spans.get(at), spans.get(at + 1)); at++) near.push(at + 1);
  return near;
}

function touches(left: TokenSpan | undefined, right: TokenSpan | undefined): boolean {
  return left !== undefined && right !== undefined && left.end === right.start;
}

/** What is known about one sample's columns. */
export interface SampleLabels {
  readonly sample: number;
  readonly positive: readonly number[];
  readonly ring: ReadonlySet<number>;
}

/**
 * @param failing failing samples with anomalous columns
 * @param clean indices of clean samples
 * @param firstKey columns before it are never judged ([CLS])
 */
export function labelColumns(
  columns: SiteColumns,
  failing: readonly SampleLabels[],
  clean: readonly number[],
  firstKey: number,
): LabelledColumns {
  const positive: ColumnRef[] = [];
  const negative: ColumnRef[] = [];
  const add = (sample: number, labels?: SampleLabels): void => {
    const { keys, visible } = columns.samples[sample] as SampleColumns;
    for (let key = firstKey; key < keys; key++) {
      if (visible[key] !== 1 || labels?.ring.has(key)) continue;
      (labels?.positive.includes(key) ? positive : negative).push({ sample, key });
    }
  };
  for (const labels of failing) add(labels.sample, labels);
  for (const sample of clean) add(sample);
  return { positive, negative };
}

/** Labels of those of the failing samples that have an anomalous column. */
export function usableLabels(data: Pick<TrainingData, "labels">, failing: readonly number[]): SampleLabels[] {
  return failing.flatMap((sample) => {
    const labels = data.labels.get(sample);
    return labels && labels.positive.length > 0 ? [labels] : [];
  });
}
