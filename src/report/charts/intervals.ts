/** Rates with their intervals on a common scale, without and with the patch. */
import type { Rate } from "../../training/wilson.ts";
import { intervalText, percentText } from "../figures.ts";
import { html, type Html } from "../html.ts";

/** A row of the chart; a rate that is null is not drawn. */
export interface IntervalRow {
  readonly name: string;
  readonly note?: string;
  readonly unpatched: Rate | null;
  readonly patched: Rate | null;
  /** A mark to compare with. */
  readonly mark?: { readonly at: number; readonly name: string } | null;
}

/** Upper ends of the scale to choose from: small rates get a scale of their own. */
const scales = [0.01, 0.02, 0.05, 0.1, 0.25, 1] as const;

export function intervalChart(rows: readonly IntervalRow[]): Html {
  const isPatched = rows.some(({ patched }) => patched !== null);
  return html`<div class="intervals" role="table" aria-label="rates with intervals">
    <div class="interval-row head" role="row">
      <span role="columnheader"></span>
      <span role="columnheader" class="was">unpatched</span>
      <span role="columnheader"></span>
      <span role="columnheader" class="is">${isPatched ? "patched" : null}</span>
    </div>
    ${rows.map(intervalRow)}
  </div>`;
}

function intervalRow({ name, note, unpatched, patched, mark }: IntervalRow): Html {
  const highest = Math.max(unpatched?.high ?? 0, patched?.high ?? 0, mark?.at ?? 0);
  const scale = scales.find((end) => highest <= end) ?? 1;
  const at = (share: number): string => `${((100 * share) / scale).toFixed(2)}%`;
  return html`<div class="interval-row" role="row">
    <span role="rowheader"><b>${name}</b>${note === undefined ? null : html`<small>${note}</small>`}</span>
    <span role="cell" class="number was">${unpatched && rateCell(unpatched)}</span>
    <span role="cell" class="plot">
      <svg width="100%" height="34" aria-hidden="true">
        <line class="axis" x1="0" x2="100%" y1="30" y2="30" />
        ${[0, 0.25, 0.5, 0.75, 1].map(
          (tick) => html`<line class="tick" x1="${100 * tick}%" x2="${100 * tick}%" y1="2" y2="30" />`,
        )}
        ${
          mark &&
          html`<line class="mark" x1="${at(mark.at)}" x2="${at(mark.at)}" y1="1" y2="30">
            <title>${mark.name}: ${percentText(mark.at)}</title>
          </line>`
        }
        ${unpatched && drawn(unpatched, "was", 11, at)} ${patched && drawn(patched, "is", 21, at)}
      </svg>
      <span class="scale"><i>0</i><i>${scale < 1 ? percentText(scale).replace(".0", "") : "100 %"}</i></span>
    </span>
    <span role="cell" class="number is">${patched && rateCell(patched)}</span>
  </div>`;
}

function drawn(
  { value, low, high }: Rate,
  kind: "was" | "is",
  y: number,
  at: (share: number) => string,
): Html | null {
  if (value === null || low === null || high === null) return null;
  return html`<g class="${kind}">
    <line x1="${at(low)}" x2="${at(high)}" y1="${y}" y2="${y}" />
    <circle cx="${at(value)}" cy="${y}" r="4.5" />
  </g>`;
}

function rateCell(rate: Rate): Html {
  return html`<b>${percentText(rate.value)}</b><small>${intervalText(rate)}</small>`;
}

/** A single rate with its interval from 0 to 1, small enough for a cell of a table. */
export function smallInterval(rate: Rate, kind: "was" | "is" = "is"): Html | null {
  const at = (share: number): string => `${(100 * share).toFixed(2)}%`;
  const body = drawn(rate, kind, 6, at);
  return (
    body &&
    html`<svg class="small-interval" width="100%" height="12" aria-hidden="true">
      <line class="axis" x1="0" x2="100%" y1="6" y2="6" />
      ${body}
    </svg>`
  );
}
