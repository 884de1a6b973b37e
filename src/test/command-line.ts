/** The command line as tests call it. */
import { runCli } from "../cli/run.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What was printed, as the one document that it is. */
  readonly json: () => unknown;
}

/** Runs the command line, no terminal of 80 columns, and keeps what it printed. */
export async function atpatch(...args: string[]): Promise<Ran> {
  let [out, err] = ["", ""];
  const terminal = {
    out: (text: string) => (out += text),
    err: (text: string) => (err += text),
    live: false,
    colour: false,
    columns: 80,
  };
  const code = await runCli(args, terminal);
  return { code, out, err, json: (): unknown => JSON.parse(out) };
}
