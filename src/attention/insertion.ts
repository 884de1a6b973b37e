/** Where on its way to the values a map is patched. */
import type { Axis } from "../onnx/axes/atom.ts";
import type { TensorReader } from "../onnx/graph-index.ts";
import { markedAxis, type MapPath, type Stop } from "./follow-map.ts";

export interface InsertionPoint {
  readonly tensor: string;
  /** Axes of the tensor with marks. */
  readonly axes: readonly Axis[];
  readonly key: number;
  readonly query: number;
  readonly readers: readonly TensorReader[];
}

/**
 * After the last value-changing step all ways share (masks, guards, casts, a cut-off sink), before regrouping and
 * quantising. Only where the axes are not apart there (a softmax over flattened rows), the next tensor that has them.
 * @param keyMark mark of the key axis
 * @param queryAtom the atom of the queries; null when they have a single position
 */
export function insertionPoint(
  paths: readonly MapPath[],
  keyMark: number,
  queryAtom: string | null,
): InsertionPoint | { readonly reason: string } {
  const [first] = paths;
  if (!first) return { reason: "no product with values follows" };
  let shared = 0;
  while (
    shared + 1 < first.stops.length &&
    paths.every(({ stops }) => stops[shared + 1]?.tensor === first.stops[shared + 1]?.tensor)
  ) {
    shared++;
  }
  const stops = first.stops.slice(0, shared + 1);
  const from = Math.max(
    0,
    stops.findLastIndex(({ by }) => by === "value"),
  );
  for (let at = from; at < stops.length; at++) {
    const stop = stops[at];
    if (!stop || (at > from && stop.by === "quantise")) break;
    const place = placeOf(stop, keyMark, queryAtom);
    if (!place) continue;
    const readers = paths.flatMap((path) => path.readers[at] ?? []);
    const unique = readers.filter(
      (reader, i) =>
        readers.findIndex((other) => other.node === reader.node && other.input === reader.input) === i,
    );
    return { tensor: stop.tensor, axes: stop.axes, ...place, readers: unique };
  }
  return { reason: "queries or samples are folded into the key axis" };
}

/** Positions of keys and queries when each has an axis of its own and at least one axis leads. */
function placeOf(
  stop: Stop,
  keyMark: number,
  queryAtom: string | null,
): { key: number; query: number } | null {
  const key = markedAxis(stop.axes, keyMark);
  if (key === null || stop.axes.length < 3) return null;
  if (queryAtom === null) {
    // One query: its axis has no atoms and stands beside the keys.
    const query = [key - 1, key + 1].find((i) => stop.axes[i]?.length === 0);
    return query === undefined ? null : { key, query };
  }
  // Queries may be merged with heads that share their values.
  const query = stop.axes.findIndex((axis) => axis.some(({ id }) => id === queryAtom));
  return query < 0 || query === key ? null : { key, query };
}
