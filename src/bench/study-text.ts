/** The study's record as tables. */
import type { Count, StudyRow, TestCounts } from "./study-row.ts";

export function studyText(
  rows: readonly StudyRow[],
  { seeds, cores }: { seeds: number; cores: number },
): string {
  const models = [...new Set(rows.map(({ model }) => model))];
  const hours = rows.reduce((sum, { seconds }) => sum + seconds, 0) / 3600;
  return `# Study of the method

Made by \`npm run study\` (${seeds} seeds of the detector at most; ${hours.toFixed(1)} hours of work on ${cores} cores that others used too) from the shipped models and their
sets: fitted and chosen on \`debug.jsonl.gz\`, measured on \`test.jsonl.gz\`. The record is \`study.jsonl\`. Each row changes one thing,
the rest is chosen as \`train\` chooses it by default; figures are the mean over the seeds (as many as the second column
says), in brackets the smallest and the largest. One victim of each kind: what the tables say of the method, they say of these victims.

Attack: failing samples answered with the target. Right: with their true class. Found: flagged. Flagged, altered: clean samples that
are flagged, and whose answer changes. Accuracy: change on clean samples, in points. All in per cent.

${models
  .map((model) =>
    section(
      model,
      rows.filter((row) => row.model === model),
    ),
  )
  .join("\n")}`;
}

function section(model: string, rows: readonly StudyRow[]): string {
  const parts = [`## ${model}\n`];
  const of = (group: StudyRow["group"]): StudyRow[] => rows.filter((row) => row.group === group);
  const attack = [...of("yardstick"), ...of("variant")];
  if (attack.length > 0) {
    const floor = attack.find(({ test }) => test)?.test?.floor;
    if (floor)
      parts.push(
        `Clean samples of other classes that the model answers with the target by itself: ${percent(floor)}.\n`,
      );
    parts.push(
      table(
        ["", "seeds", "attack", "right", "found", "flagged", "altered", "accuracy", "chosen (verdict)"],
        [...new Set(attack.map(({ variant }) => variant))].map((variant) =>
          attackLine(
            variant,
            attack.filter((row) => row.variant === variant),
          ),
        ),
      ),
    );
  }
  const triggers = of("trigger");
  if (triggers.length > 0) {
    parts.push(
      "Fitted to the failing samples of one trigger; attack success of the same trigger and of the others:\n",
    );
    parts.push(
      table(
        ["trigger", "same", "others", "altered", "fitted"],
        [...new Set(triggers.map(({ variant }) => variant))].map((variant) => {
          const own = triggers.filter((row) => row.variant === variant);
          const figure = (name: string): string =>
            spread(own.flatMap(({ figures }) => figures?.[name] ?? []));
          return [variant, figure("own"), figure("others"), spreadOf(own, "altered"), own[0]?.form ?? ""];
        }),
      ),
    );
  }
  const tables = of("table");
  if (tables.length > 0) {
    const names = [...new Set(tables.flatMap(({ figures }) => Object.keys(figures ?? {})))];
    parts.push(
      table(
        ["", ...names, "made"],
        [...new Set(tables.map(({ variant }) => variant))].map((variant) => {
          const own = tables.filter((row) => row.variant === variant);
          const cells = names.map((name) => {
            const values = own.flatMap(({ figures }) => figures?.[name] ?? []);
            return values.length === 0 ? "–" : (values.reduce((a, b) => a + b, 0) / values.length).toFixed(3);
          });
          return [variant, ...cells, own[0]?.form ?? ""];
        }),
      ),
    );
  }
  return parts.join("\n");
}

function attackLine(variant: string, rows: readonly StudyRow[]): string[] {
  const made = rows.filter(({ test }) => test);
  const forms = [...new Set(rows.map(({ form }) => form))].filter((form) => form !== "");
  if (made.length === 0)
    return [variant, String(rows.length), "–", "–", "–", "–", "–", "–", forms.join(" / ")];
  const change = made.map(({ test }) => share(test!.accuracy) - share(test!.unpatched));
  return [
    variant,
    String(rows.length),
    ...(["attack", "right", "found", "flagged", "altered"] as const).map((name) => spreadOf(rows, name)),
    spread(change, true),
    forms.join(" / "),
  ];
}

const share = ([hits, of]: Count): number => hits / Math.max(1, of);
const percent = (count: Count): string => `${(100 * share(count)).toFixed(1)} %`;

function spreadOf(rows: readonly StudyRow[], name: keyof TestCounts): string {
  return spread(rows.flatMap(({ test }) => (test ? [share(test[name])] : [])));
}

/** Mean, and the extremes where they differ, in per cent. */
function spread(values: readonly number[], signed = false): string {
  if (values.length === 0) return "–";
  const text = (value: number): string => `${signed && value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
  const mean = text(values.reduce((a, b) => a + b, 0) / values.length);
  const [low, high] = [text(Math.min(...values)), text(Math.max(...values))];
  return low === high ? mean : `${mean} [${low}, ${high}]`;
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...lines.map(line)].join("\n")}\n`;
}
