/** A report as one HTML page that loads nothing and runs nothing. */
import { createHash } from "node:crypto";
import type { ReportData } from "./data.ts";
import { html, Html } from "./html.ts";
import { alternativesSection, fairnessSection } from "./sections/alternatives.ts";
import { changedSection } from "./sections/changed.ts";
import { costSection, limitsSection, provenanceSection } from "./sections/closing.ts";
import { refusalSection, trainingSection } from "./sections/evidence.ts";
import { examplesSection } from "./sections/examples.ts";
import { classesSection, figuresSection } from "./sections/figures.ts";
import { headline } from "./sections/headline.ts";
import { scoresSection } from "./sections/scores.ts";
import { styles } from "./styles.ts";

/** The parts after the headline, in the order of reading; one that has nothing to show is left out. */
const parts: readonly (readonly [id: string, name: string, of: (data: ReportData) => Html | null])[] = [
  ["evidence", "Evidence", refusalSection],
  ["figures", "Figures", figuresSection],
  ["fairness", "Fairness", fairnessSection],
  ["examples", "Attention", examplesSection],
  ["scores", "Scores", scoresSection],
  ["changed", "Changed answers", changedSection],
  ["alternatives", "Alternatives", alternativesSection],
  ["classes", "Classes", classesSection],
  ["training", "Training", trainingSection],
  ["cost", "Cost", costSection],
  ["limits", "Limits", limitsSection],
  ["provenance", "Provenance", provenanceSection],
];

/** Allows the style sheet by its digest and pictures that the page carries; no script, no frame, no request. */
const policy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(styles).digest("base64")}'; img-src data:; base-uri 'none'; form-action 'none'`;

export function reportPage(data: ReportData): string {
  const drawn = parts.flatMap(([id, name, of]) => {
    const section = of(data);
    return section === null ? [] : [{ id, name, section }];
  });
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>AtPatch report: ${data.subject.model}</title>
        ${new Html(`<style>${styles}</style>`)}
      </head>
      <body>
        <main>
          ${headline(data)}
          <nav>${drawn.map(({ id, name }) => html`<a href="#${id}">${name}</a>`)}</nav>
          ${drawn.map(({ section }) => section)}
        </main>
        <footer>report.json beside this page has the same figures for programs.</footer>
      </body>
    </html> `.text;
}
