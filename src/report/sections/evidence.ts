/** Findings that are shares of samples: why nothing was made, or what training measured. */
import type { Finding } from "../../training/training-refusal.ts";
import type { Rate } from "../../training/wilson.ts";
import { smallInterval } from "../charts/intervals.ts";
import type { ReportData } from "../data.ts";
import { intervalText, percentText } from "../figures.ts";
import { html, type Html } from "../html.ts";
import { sectionHtml } from "./section.ts";

export function refusalSection({ refusal }: ReportData): Html | null {
  if (refusal === null || refusal.findings.length === 0) return null;
  return sectionHtml({
    id: "evidence",
    title: "Why no patch was made",
    lead: "Shares of the failing samples. Held out: judged by a detector that had not seen them. A trigger shows as high shares, well above those of random columns.",
    body: findingsTable(refusal.findings),
  });
}

/** Where training reports keep their shares. */
const kept: readonly (readonly [path: readonly string[], what: string])[] = [
  [["localization", "found"], "failing samples for which anomalous columns were found"],
  [["repairable"], "failing: the answer changes when those columns are repaired"],
  [["held_out", "repaired"], "held out, failing: the answer changes"],
  [["held_out", "robust_accuracy"], "held out, failing: the answer becomes right"],
  [["control", "repaired"], "the same with random columns: the answer changes"],
  [["held_out", "flag_rate"], "held out, clean: flagged"],
  [["held_out", "altered"], "held out, clean: the answer changes"],
  [["calibration", "flag_rate"], "clean samples that set the thresholds: flagged"],
  [["calibration", "altered"], "clean samples that set the thresholds: the answer changes"],
];

export function trainingSection({ detector }: ReportData): Html | null {
  if (detector === null) return null;
  const findings = kept.flatMap(([path, what]): Finding[] => {
    const rate = path.reduce<unknown>(
      (at, name) => (at as Readonly<Record<string, unknown>> | null | undefined)?.[name],
      detector.metadata.report,
    );
    return isRate(rate) ? [{ what, rate }] : [];
  });
  if (findings.length === 0) return null;
  return sectionHtml({
    id: "training",
    title: "What training measured",
    lead: "As the bundle tells, from its own debug set. Held out: judged by a detector fitted on the other half.",
    body: findingsTable(findings),
  });
}

function findingsTable(findings: readonly Finding[]): Html {
  return html`<table>
    <tbody>
      ${findings.map(
        ({ what, rate }) =>
          html`<tr>
            <td>${what}</td>
            <td class="p">${smallInterval(rate)}</td>
            <td class="n">${percentText(rate.value)} <small>${intervalText(rate)}</small></td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** Bundles come from elsewhere: their report is looked at before it is drawn. */
function isRate(value: unknown): value is Rate {
  if (typeof value !== "object" || value === null) return false;
  const parts = value as Readonly<Record<string, unknown>>;
  const isShare = (part: unknown): boolean => typeof part === "number" && part >= 0 && part <= 1;
  return (["value", "low", "high"] as const).every((name) => isShare(parts[name]));
}
