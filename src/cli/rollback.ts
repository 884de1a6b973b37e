/** `activate` and `rollback`: which detector requests get from now on. */
import { Command } from "commander";
import type { RegistrySnapshot } from "../detector/registry.ts";
import {
  AdminClient,
  remoteOptions,
  tokenHelp,
  type AdminRequest,
  type RemoteOptions,
} from "./admin-client.ts";
import { natural } from "./arguments.ts";
import type { Context } from "./context.ts";
import { shortId } from "./control-text.ts";

/** Options of every verb that changes a model. */
export interface ChangeOptions extends RemoteOptions {
  readonly model: string;
  readonly reason?: string;
  readonly ifMatch?: number;
}

/** Adds what every verb that changes a model takes. */
export function changeOptions(command: Command): Command {
  return remoteOptions(command)
    .requiredOption("--model <name>", "name of the served model")
    .option("--reason <text>", "why, for the history")
    .option("--if-match <revision>", "refuse when the model is at another revision by now", natural);
}

/** A change as the server takes it. */
export function changeRequest({ reason, ifMatch }: ChangeOptions, fields: object = {}): AdminRequest {
  return {
    body: { ...fields, ...(reason !== undefined && { reason }) },
    headers: ifMatch === undefined ? {} : { "if-match": `"${ifMatch}"` },
  };
}

export function activateCommand(context: Context): Command {
  return changeOptions(new Command("activate"))
    .description("make a stored detector the one that requests get")
    .argument("<detector>", 'its id or the first digits of it, or "none"')
    .addHelpText(
      "after",
      `
${tokenHelp} It needs the scope detectors:write.

Example:
  $ atpatch activate 4f0c9e21ab77 --url http://127.0.0.1:8080 --model gtsrb-vit --reason "shadow agreed for a day"`,
    )
    .action(async (text: string, options: ChangeOptions) => {
      const client = new AdminClient(options.url);
      const detector = text === "none" ? null : await client.detector(options.model, text);
      const path = AdminClient.model(options.model, "/active");
      const { body } = await client.call("PUT", path, changeRequest(options, { detector }));
      context.output(options).result(body, () => activeText(body as unknown as RegistrySnapshot));
    });
}

export function rollbackCommand(context: Context): Command {
  return changeOptions(new Command("rollback"))
    .description("make the previously active detector active again")
    .addHelpText(
      "after",
      `
${tokenHelp} It needs the scope detectors:write.

Example:
  $ atpatch rollback --url http://127.0.0.1:8080 --model gtsrb-vit --reason "too many false flags"`,
    )
    .action(async (options: ChangeOptions) => {
      const path = AdminClient.model(options.model, "/rollback");
      const { body } = await new AdminClient(options.url).call("POST", path, changeRequest(options));
      context.output(options).result(body, () => activeText(body as unknown as RegistrySnapshot));
    });
}

function activeText({ model, active, previous, revision }: RegistrySnapshot): string {
  return `${model}: ${shortId(active)} is active since revision ${revision}, ${shortId(previous)} was before\n`;
}
