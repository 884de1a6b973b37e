/** Points of the last minutes, and the path that draws them. Pure. */

export interface Point {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Null where nothing was measured. */
  readonly value: number | null;
}

export class Series {
  readonly #spanMs: number;
  #points: Point[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  add(point: Point): void {
    this.#points = [...this.#points.filter(({ at }) => at > point.at - this.#spanMs), point];
  }

  get points(): readonly Point[] {
    return this.#points;
  }

  /** The last value that was measured. */
  get last(): number | null {
    return this.#points.findLast(({ value }) => value !== null)?.value ?? null;
  }
}

export interface Frame {
  readonly from: number;
  readonly to: number;
  /** Value at the upper edge. */
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Horizontal place of a time within the frame. */
export function xOf(at: number, { from, to, width }: Frame): number {
  return Math.round((10 * width * (at - from)) / Math.max(1, to - from)) / 10;
}

function yOf(value: number, { top, height }: Frame): number {
  return Math.round(10 * height * (1 - Math.min(1, Math.max(0, value / top)))) / 10;
}

/** SVG path of the line; gaps where nothing was measured. */
export function linePath(points: readonly Point[], frame: Frame): string {
  let drawing = false;
  return points
    .map(({ at, value }) => {
      if (value === null) {
        drawing = false;
        return "";
      }
      const step = `${drawing ? "L" : "M"}${xOf(at, frame)} ${yOf(value, frame)}`;
      drawing = true;
      return step;
    })
    .join("");
}

/** SVG path of the area under each run of measured points. */
export function areaPath(points: readonly Point[], frame: Frame): string {
  const runs: Point[][] = [[]];
  for (const point of points) {
    if (point.value === null) runs.push([]);
    else runs.at(-1)!.push(point);
  }
  return runs
    .filter((run) => run.length > 1)
    .map((run) => {
      const [first, last] = [run[0]!, run.at(-1)!];
      return `${linePath(run, frame)}L${xOf(last.at, frame)} ${frame.height}L${xOf(first.at, frame)} ${frame.height}Z`;
    })
    .join("");
}

/** An upper edge a little above the largest value, of the form 1, 2 or 5 times a power of ten. */
export function niceTop(points: readonly Point[], least: number): number {
  const largest = Math.max(least, ...points.map(({ value }) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(largest));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= largest * 0.999)!;
  return step * power;
}
