/** `push`: a bundle to a running proxy. */
import { Command } from "commander";
import { AdminClient, tokenHelp } from "./admin-client.ts";
import { webAddress } from "./arguments.ts";
import { readBundle } from "./files.ts";
import type { Context } from "./context.ts";

interface Options {
  readonly url: URL;
  readonly model: string;
  readonly activate?: boolean;
  readonly reason: string;
  readonly json?: boolean;
}

export function pushCommand(context: Context): Command {
  return new Command("push")
    .description("upload a detector bundle to a running proxy, optionally activate it")
    .argument("<bundle>", "the .safetensors file")
    .requiredOption("--url <address>", "address of the proxy", webAddress)
    .requiredOption("--model <name>", "name of the served model")
    .option("--activate", "activate it for every request that starts from now on")
    .option("--reason <text>", "why, for the history", "pushed from the command line")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
${tokenHelp} It needs the scope detectors:write.

Example:
  $ ATPATCH_TOKEN=… atpatch push patch.safetensors --url http://127.0.0.1:8080 --model gtsrb-vit --activate`,
    )
    .action(async (path: string, options: Options) => {
      const output = context.output(options);
      const { bytes } = await readBundle(path);
      const client = new AdminClient(options.url);
      const uploaded = await client.call("POST", AdminClient.model(options.model, "/detectors"), {
        body: bytes,
      });
      const id = String(uploaded.body["id"]);
      const created = uploaded.status === 201;
      let revision: unknown = null;
      if (options.activate === true) {
        const body = { detector: id, reason: options.reason };
        const activated = await client.call("PUT", AdminClient.model(options.model, "/active"), { body });
        revision = activated.body["revision"] ?? null;
      }
      const document = { detector: id, created, activated: options.activate === true, revision };
      output.result(
        document,
        () =>
          `${id} ${created ? "uploaded" : "was there already"}${document.activated ? `, active since revision ${String(revision)}` : ""}\n`,
      );
    });
}
