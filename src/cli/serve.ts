/** `serve`: the proxy itself. */
import { Command } from "commander";
import { serve } from "../serve.ts";
import { resolveSettings, settingDefinitions, type SettingFlags } from "../settings.ts";
import type { Context } from "./context.ts";

export function serveCommand(context: Context): Command {
  const command = new Command("serve").description(
    "serve the models with their detectors over HTTP and gRPC",
  );
  for (const { flag, env, help, text } of Object.values(settingDefinitions)) {
    command.option(flag, `${help} [${text}] (${env})`);
  }
  return command
    .addHelpText(
      "after",
      `
A flag goes before its environment variable, and that before the default.

Examples:
  $ atpatch serve
  $ atpatch serve --models models/gtsrb-vit --port 9000
  $ ATPATCH_ADMIN_TOKEN=$(openssl rand -hex 24) atpatch serve --host 0.0.0.0`,
    )
    .action(async (flags: SettingFlags) => {
      const settings = resolveSettings(flags, process.env);
      const output = context.output({});
      await serve(settings, (text) => output.say(text.trimEnd()));
    });
}
