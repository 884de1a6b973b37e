#!/usr/bin/env node
/** Entry of the `atpatch` command. */
import { runCli } from "./run.ts";

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  live: process.stderr.isTTY,
  colour: process.stdout.isTTY && process.env["NO_COLOR"] === undefined,
  columns: process.stdout.columns || 80,
});
