/** The top of a report: what it is about, the verdict, the few figures that matter most. */
import type { ReportData } from "../data.ts";
import { intervalText, numberText, percentText, pointsText } from "../figures.ts";
import { sentences } from "../verdict.ts";
import { html, type Content, type Html } from "../html.ts";

const tones = {
  good: "repaired",
  partial: "mind the price",
  bad: "not repaired",
  neutral: "for information",
};

export function headline(data: ReportData): Html {
  const { subject, verdict, refusal } = data;
  const rest = refusal === null ? [] : sentences(refusal.message).slice(1);
  return html`<div class="brand">
      <b>AtPatch report</b><span>${subject.model}</span
      ><span>${subject.task}, ${subject.classes} classes</span>
      <span>${subject.sites} attention sites</span>
    </div>
    <div class="verdict ${verdict.tone}">
      <span class="tone">${refusal === null ? tones[verdict.tone] : "no patch was made"}</span>
      <h1>${verdict.sentence}</h1>
      ${rest.map((sentence) => html`<p>${sentence}</p>`)}
    </div>
    <div class="keys">${keyFigures(data)}</div>`;
}

function keyFigures({ evaluation, detector }: ReportData): Html[] {
  const { clean, failing, fairness } = evaluation;
  const patched = detector !== null;
  const pair = (before: string, after: string): Content =>
    patched ? html`<s>${before} →</s> ${after}` : before;
  const key = (name: string, figure: Content, note: Content): Html =>
    html`<div class="key"><span>${name}</span><b>${figure}</b><small>${note}</small></div>`;
  const change = (clean.accuracy.value ?? 0) - (clean.accuracy_unpatched.value ?? 0);
  const keys: Html[] = [];
  // A table that is judged by fairness is not under attack: its own figures go first.
  if (failing.n > 0 && fairness.length === 0) {
    const success = patched ? failing.attack_success : failing.attack_success_unpatched;
    const right = patched ? failing.robust_accuracy : failing.robust_accuracy_unpatched;
    keys.push(
      key(
        "Attack success",
        pair(percentText(failing.attack_success_unpatched.value), percentText(success.value)),
        `${intervalText(success)} of ${failing.n} failing; floor ${percentText(clean.target_rate.value)}`,
      ),
      key(
        "Failing, right answer",
        pair(percentText(failing.robust_accuracy_unpatched.value), percentText(right.value)),
        intervalText(right),
      ),
    );
  }
  for (const { attribute, unpatched, patched: with_ } of fairness) {
    if (with_.idr && unpatched.idr) {
      keys.push(
        key(
          `Answers that depend on ${attribute}`,
          pair(percentText(unpatched.idr.value), percentText(with_.idr.value)),
          `individual discrimination, ${intervalText(with_.idr)}`,
        ),
      );
    }
    keys.push(
      key(
        `Gap of ${attribute} (AAOD)`,
        pair(numberText(unpatched.aaod.value), numberText(with_.aaod.value)),
        "average absolute odds difference",
      ),
    );
  }
  const accuracy = patched ? clean.accuracy : clean.accuracy_unpatched;
  keys.push(
    key(
      "Clean accuracy",
      percentText(accuracy.value),
      patched
        ? `${pointsText(change)} points; ${intervalText(accuracy)}`
        : `${intervalText(accuracy)} of ${clean.n}`,
    ),
  );
  if (patched) {
    keys.push(
      key(
        "Clean answers changed",
        percentText(clean.altered.value),
        `${intervalText(clean.altered)} of ${clean.n}`,
      ),
    );
  }
  return keys;
}
