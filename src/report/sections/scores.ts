/** How far clean and failing samples lie apart for the detector. */
import { histogramChart, histogramOf } from "../charts/histogram.ts";
import type { ReportData } from "../data.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function scoresSection({ scores, sets }: ReportData): Html | null {
  const charts = scores.flatMap(({ site, gate, column, scores: all }) => {
    const of = (set: "clean" | "failing"): number[] =>
      all.flatMap((score, i) => (score === null || sets[i] !== set ? [] : [score]));
    const histogram = histogramOf(of("clean"), of("failing"), [gate, column]);
    if (histogram === null) return [];
    return [
      html`${scores.length > 1 ? html`<h3>Site ${site}</h3>` : null}${histogramChart(histogram, { gate, column })}`,
    ];
  });
  if (charts.length === 0) return null;
  return sectionHtml({
    id: "scores",
    title: "Gate scores",
    lead: html`The highest column score of every sample; heights by the square root. A sample whose score
      reaches the gate (solid) is repaired, at every column above the lax threshold (dashed).
      <span class="legend"
        ><span class="is"><i></i>clean</span><span class="failing"><i></i>failing</span></span
      >`,
    body: charts,
  });
}
