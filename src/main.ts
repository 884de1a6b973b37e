/** Process entry: settings from flags and environment, then serve. */
import { parseSettingFlags, resolveSettings } from "./settings.ts";
import { messageOf } from "./shared/errors.ts";

try {
  const settings = resolveSettings(parseSettingFlags(process.argv.slice(2)), process.env);
  // Only now: loading the runtime takes a while, and wrong settings should be told at once.
  const { serve } = await import("./serve.ts");
  await serve(settings, (text) => process.stdout.write(text));
} catch (error) {
  process.stderr.write(`atpatch: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
