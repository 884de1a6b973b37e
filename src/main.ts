/** Process entry: settings from flags and environment, then serve. */
import { serve } from "./serve.ts";
import { parseSettingFlags, resolveSettings } from "./settings.ts";
import { messageOf } from "./shared/errors.ts";

try {
  const settings = resolveSettings(parseSettingFlags(process.argv.slice(2)), process.env);
  await serve(settings, (text) => process.stdout.write(text));
} catch (error) {
  process.stderr.write(`atpatch: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
