/** A small line chart of the last minutes, with marks where something happened. */
import { fill, s } from "./dom.ts";
import { areaPath, linePath, niceTop, xOf, type Frame, type Point } from "./series.ts";

export interface ChartMark {
  readonly at: number;
  readonly text: string;
}

export interface ChartOptions {
  /** What a screen reader says of it. */
  readonly label: string;
  readonly spanMs: number;
  /** The upper edge is never lower than this. */
  readonly least: number;
  readonly format: (value: number) => string;
}

const width = 320;
const height = 72;

export class Chart {
  readonly element = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height + 18}`, role: "img" });
  readonly #options: ChartOptions;

  constructor(options: ChartOptions) {
    this.#options = options;
    this.element.setAttribute("aria-label", options.label);
  }

  draw(points: readonly Point[], marks: readonly ChartMark[], now: number): void {
    const { spanMs, least, format } = this.#options;
    const frame: Frame = { from: now - spanMs, to: now, top: niceTop(points, least), width, height };
    fill(this.element, [points.at(-1), marks, Math.floor(now / 1000)], () => [
      ...[0, 0.5, 1].map((share) =>
        s("line", { class: "grid", x1: 0, x2: width, y1: height * share, y2: height * share }),
      ),
      s("path", { class: "area", d: areaPath(points, frame) }),
      s("path", { class: "line", d: linePath(points, frame) }),
      ...marks
        .filter(({ at }) => at > frame.from)
        .map(({ at, text }) => {
          const x = xOf(at, frame);
          return s(
            "g",
            { class: "mark" },
            s("title", {}, text),
            s("line", { x1: x, x2: x, y1: 0, y2: height }),
            s("circle", { cx: x, cy: 4, r: 4 }),
          );
        }),
      s("text", { class: "edge", x: 2, y: 11 }, format(frame.top)),
      s("text", { class: "edge", x: 0, y: height + 12 }, `${Math.round(spanMs / 60_000)} min ago`),
      s("text", { class: "edge end", x: width, y: height + 12 }, "now"),
    ]);
  }
}
