/** The figures with their intervals, and by class. */
import type { McNemar } from "../../training/mcnemar.ts";
import { intervalChart, smallInterval, type IntervalRow } from "../charts/intervals.ts";
import type { ReportData } from "../data.ts";
import { intervalText, numberText, pText, percentText } from "../figures.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function figuresSection({ evaluation, detector }: ReportData): Html {
  const { clean, failing, target } = evaluation;
  const isPatched = detector !== null;
  // Columns repaired by policy are not flagged: there is no rate to show.
  const detects = isPatched && detector.metadata.detectionSites.length > 0;
  const isAttack = evaluation.fairness.length === 0;
  const row = (
    name: string,
    note: string,
    unpatched: IntervalRow["unpatched"],
    patched: IntervalRow["patched"],
    mark: IntervalRow["mark"] = null,
  ): IntervalRow => ({ name, note, unpatched, patched: isPatched ? patched : null, mark });
  const floor = clean.target_rate.value;
  const failingRows =
    failing.n === 0
      ? []
      : [
          row(
            isAttack ? "Attack success" : "Failing, wrong answer",
            `${failing.n} failing samples answered “${target?.label ?? "?"}”`,
            failing.attack_success_unpatched,
            failing.attack_success,
            floor === null ? null : { at: floor, name: "floor" },
          ),
          row(
            isAttack ? "Robust accuracy" : "Failing, right answer",
            "failing samples answered rightly",
            failing.robust_accuracy_unpatched,
            failing.robust_accuracy,
          ),
          row("Failing, flagged", "detection rate", null, detects ? failing.flag_rate : null),
        ];
  const cleanRows = [
    row("Clean accuracy", `${clean.n} clean samples`, clean.accuracy_unpatched, clean.accuracy),
    row("Clean, flagged", "false flags", null, detects ? clean.flag_rate : null),
    row("Clean answers changed", "whatever is right", null, clean.altered),
  ].filter(({ unpatched, patched }) => unpatched !== null || patched !== null);
  return sectionHtml({
    id: "figures",
    title: "Figures",
    lead: html`A dot is what was measured, the bar its interval at 95 %. Small rates have a scale of their
    own.
    ${
      failing.n > 0 && floor !== null
        ? `The dashed mark is the floor, ${percentText(floor)}: clean samples of other classes that the model answers so by itself.`
        : null
    }`,
    body: html`${intervalChart([...failingRows.filter(({ unpatched, patched }) => unpatched !== null || patched !== null), ...cleanRows])}
    ${isPatched ? comparisons(evaluation) : null}`,
  });
}

function comparisons({ clean, failing }: ReportData["evaluation"]): Html {
  const line = (name: string, { only_unpatched: lost, only_patched: won, p }: McNemar): Html =>
    html`<tr>
      <td>${name}</td>
      <td class="n">${lost}</td>
      <td class="n">${won}</td>
      <td class="n">${pText(p)}</td>
    </tr>`;
  return html`<h3>Right answers, sample by sample</h3>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th></th>
            <th class="n">lost by the patch</th>
            <th class="n">won by the patch</th>
            <th class="n">McNemar, exact</th>
          </tr>
        </thead>
        <tbody>
          ${line("clean samples", clean.mcnemar)}
          ${failing.n > 0 ? line("failing samples", failing.mcnemar) : null}
        </tbody>
      </table>
    </div>
    <p class="none">
      Matthews correlation on clean samples: ${numberText(clean.mcc_unpatched)} unpatched,
      ${numberText(clean.mcc)} patched.
    </p>`;
}

/** Classes in the table; those that changed most come first when there are more. */
const mostClasses = 60;

export function classesSection({ evaluation, detector }: ReportData): Html {
  const isPatched = detector !== null;
  const moved = (each: (typeof evaluation.classes)[number]): number =>
    Math.abs((each.accuracy.value ?? 0) - (each.accuracy_unpatched.value ?? 0));
  const all = [...evaluation.classes];
  const shown =
    all.length <= mostClasses
      ? all
      : all.sort((a, b) => moved(b) - moved(a) || a.index - b.index).slice(0, mostClasses);
  const anyFailing = evaluation.failing.n > 0;
  return sectionHtml({
    id: "classes",
    title: "By class",
    ...(all.length > mostClasses && {
      lead: `The ${mostClasses} of ${all.length} classes whose accuracy changed most; report.json has all of them.`,
    }),
    body: html`<div class="wide">
      <table>
        <thead>
          <tr>
            <th>class</th>
            <th class="n">clean</th>
            <th class="n">accuracy unpatched</th>
            ${
              isPatched
                ? html`<th class="n">patched</th>
                    <th></th>`
                : null
            }
            ${
              anyFailing
                ? html`<th class="n">failing</th>
                    <th class="n">right answer${isPatched ? ", patched" : ""}</th>
                    <th></th>`
                : null
            }
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            (each) =>
              html`<tr>
                <td>${each.label}</td>
                <td class="n">${each.clean}</td>
                <td class="n">${percentText(each.accuracy_unpatched.value)}</td>
                ${
                  isPatched
                    ? html`<td class="n">
                          ${percentText(each.accuracy.value)} <small>${intervalText(each.accuracy)}</small>
                        </td>
                        <td class="p">${smallInterval(each.accuracy)}</td>`
                    : null
                }
                ${
                  anyFailing
                    ? html`<td class="n">${each.failing}</td>
                        <td class="n">
                          ${percentText(each.robust_accuracy.value)}
                          <small>${intervalText(each.robust_accuracy)}</small>
                        </td>
                        <td class="p">${smallInterval(each.robust_accuracy)}</td>`
                    : null
                }
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`,
  });
}
