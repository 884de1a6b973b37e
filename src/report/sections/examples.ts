/** What the model looks at, before and after, on a few inputs. */
import { attentionView } from "../charts/attention.ts";
import type { Example, ReportData, SampleAnswer } from "../data.ts";
import { percentText } from "../figures.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function examplesSection({ examples, detector }: ReportData): Html | null {
  const [first] = examples;
  if (first === undefined) return null;
  const kinds = {
    picture: "Warmer patches get more attention; what gets an even share or less is left plain.",
    text: "Warmer tokens get more attention, as the mean over the sites; what gets an even share or less is left plain.",
    row: "A bar is the attention that a feature gets, as the mean over the sites: grey before, blue after.",
    other: "Attention by key.",
  };
  return sectionHtml({
    id: "examples",
    title: detector === null ? "What the model attends to" : "Attention, before and after",
    lead: `${kinds[first.content.kind]}${detector === null ? "" : " Framed in green: repaired."}`,
    body: examples.map(exampleHtml),
  });
}

function exampleHtml(example: Example): Html {
  const { id, why, label, before, after } = example;
  const answer = ({ label: name, score }: SampleAnswer): Html =>
    html`<b class="${name === label ? "right" : "wrong"}">${name}</b> <small>${percentText(score)}</small>`;
  return html`<article class="example">
    <header>
      <span class="why">${why}</span>
      <span class="answers">${answer(before)}${after && html` → ${answer(after)}`}</span>
      <small>true class: ${label}</small>
      <small class="id">${id}</small>
    </header>
    ${attentionView(example)}
  </article>`;
}
