/** The command line as a function: arguments in, text through the terminal, an exit code out. */
import { Command, CommanderError } from "commander";
import { silenceRuntime } from "../engine/runtime-telemetry.ts";
import { packageVersion } from "../version.ts";
import { exitCodeOf, exitCodes, type Context } from "./context.ts";
import { demoCommand } from "./demo.ts";
import { evaluateCommand } from "./evaluate.ts";
import { historyCommand } from "./history.ts";
import { inspectCommand } from "./inspect.ts";
import { instrumentCommand } from "./instrument.ts";
import { localizeCommand } from "./localize.ts";
import { Output, type Terminal } from "./output.ts";
import { policyCommand } from "./policy.ts";
import { pushCommand } from "./push.ts";
import { activateCommand, rollbackCommand } from "./rollback.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { trainCommand } from "./train.ts";
import { verifyCommand } from "./verify.ts";
import { watchCommand } from "./watch.ts";

export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  silenceRuntime();
  let code: number = exitCodes.done;
  const context: Context = {
    output: ({ json }) => new Output(terminal, json === true),
    exitWith: (wanted) => (code = wanted),
  };
  try {
    await program(context, terminal).parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    new Output(terminal, args.includes("--json")).failure(error);
    return exitCodeOf(error);
  }
}

function program(context: Context, terminal: Terminal): Command {
  const root = new Command("atpatch")
    .description(
      "Hot-fix proxy for deployed transformer classifiers: repairs anomalous attention columns while the model serves.",
    )
    .version(packageVersion())
    .showHelpAfterError("(add --help for the options)")
    .addHelpText(
      "after",
      `
A model of your own, from failing inputs to a patch in place:
  $ atpatch inspect   models/signs
  $ atpatch localize  --model models/signs --debug debug.jsonl.gz --out located.jsonl
  $ atpatch train     --model models/signs --debug located.jsonl --out patch.safetensors
  $ atpatch evaluate  --model models/signs --detector patch.safetensors --test test.jsonl.gz
  $ atpatch push      patch.safetensors --url http://127.0.0.1:8080 --model signs --activate

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the model cannot be patched.`,
    );
  const verbs = [
    serveCommand,
    inspectCommand,
    instrumentCommand,
    verifyCommand,
    localizeCommand,
    trainCommand,
    evaluateCommand,
    pushCommand,
    statusCommand,
    activateCommand,
    rollbackCommand,
    policyCommand,
    historyCommand,
    watchCommand,
    demoCommand,
  ];
  for (const verb of verbs) root.addCommand(verb(context));
  for (const command of [root, ...root.commands]) {
    command
      .exitOverride()
      .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) });
  }
  return root;
}
