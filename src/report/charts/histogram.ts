/** Gate scores of clean and failing samples back to back, with the thresholds. */
import { numberText } from "../figures.ts";
import { html, type Html } from "../html.ts";

export interface Histogram {
  /** Equal bins from `low` to `high`. */
  readonly low: number;
  readonly high: number;
  readonly clean: readonly number[];
  readonly failing: readonly number[];
}

const bins = 48;
/** Share of the samples beyond which the outermost ones are drawn in the last bin. */
const tail = 0.002;

/** @param thresholds are kept inside the range */
export function histogramOf(
  clean: readonly number[],
  failing: readonly number[],
  thresholds: readonly number[],
): Histogram | null {
  const all = [...clean, ...failing].sort((a, b) => a - b);
  if (all.length === 0) return null;
  const quantile = (share: number): number => all[Math.round(share * (all.length - 1))]!;
  const from = Math.min(quantile(tail), ...thresholds);
  const to = Math.max(quantile(1 - tail), ...thresholds);
  const margin = Math.max(1e-6, (to - from) * 0.03);
  const [low, high] = [from - margin, to + margin];
  const count = (scores: readonly number[]): number[] => {
    const counts = Array.from({ length: bins }, () => 0);
    for (const score of scores) {
      const bin = Math.floor(((score - low) / (high - low)) * bins);
      counts[Math.max(0, Math.min(bins - 1, bin))]! += 1;
    }
    return counts;
  };
  return { low, high, clean: count(clean), failing: count(failing) };
}

const [width, half, gap] = [720, 84, 1] as const;

/** Each side is drawn to its own height: the sets differ in size. */
export function histogramChart(
  histogram: Histogram,
  thresholds: { readonly gate: number; readonly column: number },
): Html {
  const { low, high, clean, failing } = histogram;
  const barWidth = width / bins;
  const x = (score: number): number => ((score - low) / (high - low)) * width;
  const bars = (counts: readonly number[], kind: string, up: boolean): Html[] => {
    const most = Math.max(1, ...counts);
    return counts.flatMap((count, bin) => {
      if (count === 0) return [];
      // The root shows single samples beside hundreds.
      const height = Math.max(2, Math.sqrt(count / most) * (half - 6));
      const y = up ? half - gap - height : half + gap;
      return [
        html`<rect
          class="${kind}"
          x="${(bin * barWidth + 0.5).toFixed(1)}"
          y="${y.toFixed(1)}"
          width="${(barWidth - 1).toFixed(1)}"
          height="${height.toFixed(1)}"
        >
          <title>
            ${count} samples, score ${(low + (bin * (high - low)) / bins).toFixed(2)} to
            ${(low + ((bin + 1) * (high - low)) / bins).toFixed(2)}
          </title>
        </rect>`,
      ];
    });
  };
  const line = (at: number, kind: string): Html =>
    html`<line class="${kind}" x1="${x(at).toFixed(1)}" x2="${x(at).toFixed(1)}" y1="0" y2="${2 * half}" />`;
  return html`<svg
    class="histogram"
    viewBox="0 0 ${width} ${2 * half + 22}"
    role="img"
    aria-label="gate scores"
  >
    <line class="axis" x1="0" x2="${width}" y1="${half}" y2="${half}" />
    ${bars(clean, "clean", true)} ${bars(failing, "failing", false)} ${line(thresholds.column, "lax")}
    ${line(thresholds.gate, "gate")}
    <text x="0" y="${2 * half + 16}">${numberText(low, 1)}</text>
    <text x="${width}" y="${2 * half + 16}" text-anchor="end">${numberText(high, 1)}</text>
    <text class="gate" x="${x(thresholds.gate).toFixed(1)}" y="${2 * half + 16}" text-anchor="middle">
      gate ${numberText(thresholds.gate, 2)}
    </text>
    <text class="side" x="4" y="14">clean</text>
    <text class="side" x="4" y="${2 * half - 6}">failing</text>
  </svg>`;
}
