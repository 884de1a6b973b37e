/** What else could have been done, in the same run on the same samples. */
import type { AttributeFairness } from "../../training/table-fairness.ts";
import type { Figure } from "../../training/fairness.ts";
import type { Rate } from "../../training/wilson.ts";
import { smallInterval } from "../charts/intervals.ts";
import type { ReportData } from "../data.ts";
import { intervalText, numberText, percentText } from "../figures.ts";
import { html, type Content, type Html } from "../html.ts";
import { groupText } from "../verdict.ts";
import { sectionHtml } from "./section.ts";

export function alternativesSection({ evaluation, detector }: ReportData): Html | null {
  const { baselines = [], clean, failing } = evaluation;
  if (baselines.length === 0) return null;
  const cell = (rate: Rate): Html =>
    html`<td class="n">${percentText(rate.value)} <small>${intervalText(rate)}</small></td>`;
  const row = (
    name: string,
    figures: Readonly<Record<"attack_success" | "robust_accuracy" | "clean_accuracy" | "altered", Rate>>,
    own = false,
  ): Html =>
    html`<tr class="${own ? "own" : ""}">
      <td>${name}</td>
      <td class="p">${smallInterval(figures.attack_success, own ? "is" : "was")}</td>
      ${cell(figures.attack_success)}${cell(figures.robust_accuracy)}${cell(figures.clean_accuracy)}${cell(figures.altered)}
    </tr>`;
  return sectionHtml({
    id: "alternatives",
    title: "What else could be done",
    lead: "The same samples in the same run. Repairing the true columns is the most that this kind of repair can reach.",
    body: html`<div class="wide">
      <table>
        <thead>
          <tr>
            <th></th>
            <th></th>
            <th class="n">
              ${evaluation.fairness.length === 0 ? "attack success" : "failing, wrong answer"}
            </th>
            <th class="n">failing, right answer</th>
            <th class="n">clean accuracy</th>
            <th class="n">clean answers changed</th>
          </tr>
        </thead>
        <tbody>
          ${
            detector === null
              ? null
              : row(
                  "this patch",
                  {
                    attack_success: failing.attack_success,
                    robust_accuracy: failing.robust_accuracy,
                    clean_accuracy: clean.accuracy,
                    altered: clean.altered,
                  },
                  true,
                )
          }
          ${baselines.map(({ name, figures, why }) =>
            figures === null
              ? html`<tr>
                  <td>${name}</td>
                  <td colspan="5" class="none">not measured: ${why ?? ""}</td>
                </tr>`
              : row(name, figures),
          )}
        </tbody>
      </table>
    </div>`,
  });
}

export function fairnessSection({ evaluation, detector }: ReportData): Html | null {
  if (evaluation.fairness.length === 0) return null;
  const figure = ({ value, low, high }: Figure): Html =>
    html`<td class="n">
      ${numberText(value)}
      <small>${low === null || high === null ? "" : `[${numberText(low)}, ${numberText(high)}]`}</small>
    </td>`;
  const share = ({ value, low, high }: Figure): Html =>
    html`<td class="n">${percentText(value)} <small>${intervalText({ low, high })}</small></td>`;
  const row = (name: Content, of: AttributeFairness, own = false): Html =>
    html`<tr class="${own ? "own" : ""}">
      <td>${name}</td>
      ${share(of.accuracy)}${figure(of.mcc)}${figure(of.spd)}${figure(of.di)}${figure(of.eod)}${figure(of.aaod)}
      <td class="n">
        ${of.idr === null ? "–" : html`${percentText(of.idr.value)} <small>${intervalText(of.idr)}</small>`}
      </td>
    </tr>`;
  return sectionHtml({
    id: "fairness",
    title: "Fairness",
    lead: "SPD and DI compare how often the groups get the favourable answer, EOD and AAOD how often they get it among those with the same label. IDR is the share of people whose answer changes with the attribute alone. Nearer to 0 is more even (DI: to 1).",
    body: evaluation.fairness.map(
      (each) =>
        html`<h3>
            ${each.attribute}, favourable answer “${each.favourable}”, ${each.n}
            people${detector === null || groupText(each) === null ? "" : `: ${groupText(each)}`}
          </h3>
          <div class="wide">
            <table>
              <thead>
                <tr>
                  <th></th>
                  ${["accuracy", "MCC", "SPD", "DI", "EOD", "AAOD", "IDR"].map((name) => html`<th class="n">${name}</th>`)}
                </tr>
              </thead>
              <tbody>
                ${row("unpatched", each.unpatched)}
                ${detector === null ? null : row("this patch", each.patched, true)}
                ${each.baselines.map(({ name, passes, figures }) =>
                  row(passes > 1 ? `${name}, ${passes} passes` : name, figures),
                )}
              </tbody>
            </table>
          </div>`,
    ),
  });
}
