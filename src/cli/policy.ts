/** `policy`: what a model does with what its detectors find; shown, or changed when an option says so. */
import { Command, Option } from "commander";
import type { RegistrySnapshot } from "../detector/registry.ts";
import { AdminClient, tokenHelp } from "./admin-client.ts";
import { rateArgument, seconds } from "./arguments.ts";
import type { Context } from "./context.ts";
import { policyText } from "./control-text.ts";
import { changeOptions, changeRequest, type ChangeOptions } from "./rollback.ts";

interface Options extends ChangeOptions {
  readonly mode?: string;
  readonly onError?: string;
  readonly shadow?: string;
  readonly canary?: string;
  readonly percent?: number;
  readonly guardWindow?: number;
  readonly maxTriggerRate?: number;
  readonly maxLabelFlipRate?: number;
  /** False with --no-guard. */
  readonly guard?: boolean;
}

export function policyCommand(context: Context): Command {
  const command = changeOptions(new Command("policy"))
    .description("show the policy of a model, or change what the options name")
    .addOption(
      new Option("--mode <mode>", "what is done with flagged columns").choices(["off", "observe", "enforce"]),
    )
    .addOption(
      new Option("--on-error <what>", "the unpatched answer or an error when detection fails").choices([
        "open",
        "closed",
      ]),
    )
    .option("--shadow <detector>", 'score this detector beside the active one; "none" ends that')
    .option("--canary <detector>", 'give this detector a share of the requests; "none" ends that')
    .option("--percent <share>", "size of that share, 0 to 100", (text) => rateArgument(text, 100))
    .option(
      "--max-trigger-rate <share>",
      "roll back beyond this share of triggered samples, 0 to 1",
      (text) => rateArgument(text, 1),
    )
    .option(
      "--max-label-flip-rate <share>",
      "roll back beyond this share of changed labels, 0 to 1",
      (text) => rateArgument(text, 1),
    )
    .option("--guard-window <seconds>", "time over which the guard looks", seconds)
    .option("--no-guard", "roll back nothing by itself")
    .addHelpText(
      "after",
      `
${tokenHelp} Changes need the scope policy:write, showing and short ids the scope read. A detector is named by its id or the first
digits of it. All options of one call are applied together or not at all.

Examples:
  $ atpatch policy --url http://127.0.0.1:8080 --model gtsrb-vit
  $ atpatch policy --url http://127.0.0.1:8080 --model gtsrb-vit --mode observe --shadow 4f0c9e21ab77
  $ atpatch policy --url http://127.0.0.1:8080 --model gtsrb-vit --canary 4f0c9e21ab77 --percent 5 \\
      --max-trigger-rate 0.2 --guard-window 60 --reason "trying the new one"`,
    );
  return command.action(async (options: Options) => {
    const client = new AdminClient(options.url);
    const path = AdminClient.model(options.model);
    const current = (await client.call("GET", path)).body as unknown as RegistrySnapshot;
    const patch = await patchOf(command, options, current.policy, client);
    const after =
      Object.keys(patch).length === 0
        ? current
        : ((await client.call("PUT", `${path}/policy`, changeRequest(options, patch)))
            .body as unknown as RegistrySnapshot);
    const { model, revision, policy } = after;
    context
      .output(options)
      .result({ model, revision, policy }, () => `${model}: ${policyText(policy)} (revision ${revision})\n`);
  });
}

/** The fields that the options change; the server checks them. */
async function patchOf(
  command: Command,
  options: Options,
  current: RegistrySnapshot["policy"],
  client: AdminClient,
): Promise<Record<string, unknown>> {
  const patch: Record<string, unknown> = {};
  const idOf = async (text: string): Promise<string | null> =>
    text === "none" ? null : client.detector(options.model, text);
  if (options.mode !== undefined) patch["mode"] = options.mode;
  if (options.onError !== undefined) patch["onError"] = options.onError;
  if (options.shadow !== undefined) patch["shadow"] = await idOf(options.shadow);
  if (options.canary !== undefined || options.percent !== undefined) {
    const detector =
      options.canary === undefined ? (current.canary?.detector ?? null) : await idOf(options.canary);
    const percent = options.percent ?? current.canary?.percent;
    if (detector !== null && percent === undefined) command.error("error: --canary needs --percent");
    if (detector === null && options.canary === undefined) command.error("error: --percent needs --canary");
    patch["canary"] = detector === null ? null : { detector, percent };
  }
  const { guardWindow: window, maxTriggerRate: triggers, maxLabelFlipRate: flips } = options;
  if (options.guard === false) patch["guard"] = null;
  else if (window !== undefined || triggers !== undefined || flips !== undefined) {
    patch["guard"] = {
      ...current.guard,
      window_s: window ?? current.guard?.window_s ?? 60,
      ...(triggers !== undefined && { max_trigger_rate: triggers }),
      ...(flips !== undefined && { max_label_flip_rate: flips }),
    };
  }
  return patch;
}
