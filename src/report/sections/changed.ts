/** The clean answers that the patch changes, one by one. */
import type { ReportData } from "../data.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function changedSection({ changed, evaluation, detector }: ReportData): Html | null {
  if (detector === null) return null;
  const all = Math.round((evaluation.clean.altered.value ?? 0) * evaluation.clean.n);
  const pictures = changed.some(({ picture }) => picture !== null);
  return sectionHtml({
    id: "changed",
    title: "Clean answers that change",
    lead:
      all === 0
        ? `None of ${evaluation.clean.n} clean samples is answered differently.`
        : `${all} of ${evaluation.clean.n}${changed.length < all ? `, the first ${changed.length} of them here` : ""}.`,
    body:
      changed.length === 0
        ? null
        : html`<div class="wide">
            <table>
              <thead>
                <tr>
                  <th>sample</th>
                  ${pictures ? html`<th></th>` : null}
                  <th>true class</th>
                  <th>before</th>
                  <th>after</th>
                  <th>effect</th>
                  <th>flagged</th>
                </tr>
              </thead>
              <tbody>
                ${changed.map(
                  (each) =>
                    html`<tr>
                      <td>
                        ${each.id}${each.excerpt === "" ? null : html`<div class="excerpt none">${each.excerpt}</div>`}
                      </td>
                      ${
                        pictures
                          ? html`<td>
                              ${each.picture && html`<img class="thumb" src="${each.picture}" alt="" />`}
                            </td>`
                          : null
                      }
                      <td>${each.label}</td>
                      <td>${each.before}</td>
                      <td>${each.after}</td>
                      <td class="${each.effect}">${each.effect}</td>
                      <td>${each.flagged}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`,
  });
}
