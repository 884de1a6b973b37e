/** `status`: what a running proxy serves, with which detectors and policy. */
import { Command } from "commander";
import type { ModelState } from "../service/admin.ts";
import { AdminClient, remoteOptions, tokenHelp, type RemoteOptions } from "./admin-client.ts";
import type { Context } from "./context.ts";
import { policyText, shortId } from "./control-text.ts";
import { percent, table } from "./format.ts";

interface Options extends RemoteOptions {
  readonly model?: string;
}

export function statusCommand(context: Context): Command {
  return remoteOptions(new Command("status"))
    .description("show the models of a running proxy: detectors, policy, trigger rate, shadow and guard")
    .option("--model <name>", "this model alone")
    .addHelpText(
      "after",
      `
${tokenHelp} It needs the scope read. With --json the document is {"models": […]} as GET /admin/models gives it.

Example:
  $ atpatch status --url http://127.0.0.1:8080`,
    )
    .action(async (options: Options) => {
      const client = new AdminClient(options.url);
      const { body } = await client.call(
        "GET",
        options.model === undefined ? "models" : AdminClient.model(options.model),
      );
      const models = (options.model === undefined ? body["models"] : [body]) as readonly ModelState[];
      context.output(options).result({ models }, () => models.map(modelText).join("\n"));
    });
}

function modelText(model: ModelState): string {
  const { name, rows } = { name: model.model, rows: rowsOf(model) };
  return `${name}  ${model.task}, ${model.sites.length} attention sites, ${model.ready ? "ready" : "NOT READY"}\n${table(rows)}\n`;
}

function rowsOf({
  revision,
  active,
  previous,
  policy,
  counters,
  queued,
  shadow,
  guard,
}: ModelState): string[][] {
  const rows = [
    ["active", shortId(active)],
    ["previous", shortId(previous)],
    ["policy", policyText(policy)],
    ["revision", String(revision)],
    [
      "traffic",
      `${counters.requests} requests, ${counters.samples} samples, ${rate(counters.triggered, counters.samples)} triggered, ${queued} waiting`,
    ],
  ];
  for (const { detector, samples, triggered } of counters.detectors) {
    rows.push(["", `${shortId(detector)}: ${samples} samples, ${rate(triggered, samples)} triggered`]);
  }
  if (shadow !== null) {
    const { both, active: ours, shadow: theirs, neither } = shadow.agreement;
    rows.push([
      "shadow",
      `${shadow.samples} samples: ${both} both, ${ours} active alone, ${theirs} shadow alone, ${neither} neither; ${shadow.dropped} dropped`,
    ]);
  }
  if (guard !== null) {
    const figures = guard.active;
    const seen =
      figures === null
        ? "nothing seen yet"
        : `${figures.samples} samples in the window, ${rateText(figures.trigger_rate)} triggered, ${rateText(figures.label_flip_rate)} flipped`;
    rows.push(["guard", `${guard.armed ? "armed" : "has acted"}; ${seen}`]);
  }
  return rows;
}

function rate(part: number, whole: number): string {
  return rateText(whole === 0 ? null : part / whole);
}

function rateText(share: number | null): string {
  return share === null ? "–" : `${percent(share)} %`;
}
