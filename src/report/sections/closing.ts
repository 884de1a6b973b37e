/** What a reader needs besides the figures: cost, limits, where everything comes from. */
import type { Latency } from "../../training/latency.ts";
import type { ReportData } from "../data.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function costSection({ evaluation, detector }: ReportData): Html | null {
  if (detector === null) return null;
  const { unflagged, flagged } = evaluation.latency;
  const ms = (value: number | null): string => (value === null ? "–" : `${value.toFixed(2)} ms`);
  const row = (name: string, of: Latency): Html =>
    html`<tr>
      <td>${name}</td>
      <td class="n">${of.samples}</td>
      <td class="n">${ms(of.unpatched_ms)}</td>
      <td class="n">${ms(of.patched_ms)}</td>
      <td class="n">${of.ratio === null ? "–" : `× ${of.ratio.toFixed(2)}`}</td>
    </tr>`;
  return sectionHtml({
    id: "cost",
    title: "Cost of an answer",
    lead: "Measured on the machine that made this report, at that moment: one sample at a time, medians, unpatched and patched in turns.",
    body: html`<table>
      <thead>
        <tr>
          <th></th>
          <th class="n">samples</th>
          <th class="n">unpatched</th>
          <th class="n">patched</th>
          <th class="n">ratio</th>
        </tr>
      </thead>
      <tbody>
        ${row("nothing flagged", unflagged)} ${row("something flagged", flagged)}
      </tbody>
    </table>`,
  });
}

export function limitsSection({ limits }: ReportData): Html {
  return sectionHtml({
    id: "limits",
    title: "Limits",
    body: html`<ul class="limits">
      ${limits.map((limit) => html`<li>${limit}</li>`)}
    </ul>`,
  });
}

export function provenanceSection({ provenance }: ReportData): Html {
  return sectionHtml({
    id: "provenance",
    title: "Where this comes from",
    body: html`<dl>
      ${provenance.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd><code>${value}</code></dd>`,
      )}
    </dl>`,
  });
}
