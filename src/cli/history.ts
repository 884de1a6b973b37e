/** `history`: who changed what, when and why; from a running proxy, or from a state folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import type { ControlEntry } from "../detector/control-log.ts";
import type { RegistrySnapshot } from "../detector/registry.ts";
import { logEntries, verifyEntries, verifyLog, type VerifiedLog } from "../detector/verify-log.ts";
import { AtPatchError } from "../shared/errors.ts";
import { AdminClient, tokenHelp } from "./admin-client.ts";
import { natural, webAddress } from "./arguments.ts";
import type { Context } from "./context.ts";
import { entryText } from "./control-text.ts";

interface Options {
  readonly url?: URL;
  readonly state?: string;
  readonly model: string;
  readonly limit: number;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** Most entries of one answer. */
const page = 1000;

export function historyCommand(context: Context): Command {
  const command = new Command("history")
    .description(
      "show what was done to a model's detectors and policy, or verify that nothing of it was changed",
    )
    .option("--url <address>", "address of the proxy", webAddress)
    .option("--state <folder>", "the state folder itself, without a proxy")
    .requiredOption("--model <name>", "name of the model")
    .option("--limit <entries>", "how many to show, the newest first", natural, 20)
    .option("--verify", "follow the chain of digests from the first entry to the last")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      `
Every entry carries the digest of the one before, so that none can be changed, added or taken out unseen. The digest that
--verify prints stands for the whole history: kept elsewhere, it shows later that the end was not cut off either.
${tokenHelp} It needs the scope read.

Examples:
  $ atpatch history --url http://127.0.0.1:8080 --model gtsrb-vit
  $ atpatch history --url http://127.0.0.1:8080 --model gtsrb-vit --verify
  $ atpatch history --state .atpatch --model gtsrb-vit --verify --json`,
    );
  return command.action(async (options: Options) => {
    const { url, state, model, limit } = options;
    if ((url === undefined) === (state === undefined)) command.error("error: give either --url or --state");
    const source = url === undefined ? stored(state!, model) : served(url, model);
    const output = context.output(options);
    if (options.verify === true) {
      const { entries, digest, unfinished } = await source.verify();
      const document = { model, verified: true, entries, digest, unfinished };
      const rest = unfinished ? "; the entry that was being written at a crash does not count" : "";
      output.result(
        document,
        () => `${model}: ${entries} entries verified, ${digest ?? "no digest"}${rest}\n`,
      );
      return;
    }
    const entries = await source.newest(limit);
    output.result({ model, entries }, () => entries.map((entry) => `${entryText(entry)}\n`).join(""));
  });
}

interface Source {
  newest(limit: number): Promise<ControlEntry[]>;
  /** @throws AtPatchError ATPATCH_INTERNAL when the history was changed */
  verify(): Promise<VerifiedLog>;
}

function stored(state: string, model: string): Source {
  const read = async (): Promise<Buffer> => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(model))
      throw new AtPatchError("ATPATCH_BAD_SETTINGS", "--model: this is no name of a model");
    return readFile(join(state, model, "control.jsonl")).catch((cause: unknown) => {
      throw new AtPatchError("ATPATCH_NOT_FOUND", `"${state}" holds no history of a model "${model}"`, {
        cause,
      });
    });
  };
  return {
    newest: async (limit) =>
      logEntries(await read())
        .toReversed()
        .slice(0, limit),
    verify: async () => verifyLog(await read()),
  };
}

function served(url: URL, model: string): Source {
  const client = new AdminClient(url);
  const path = AdminClient.model(model);
  const newest = async (limit: number): Promise<ControlEntry[]> => {
    const entries: ControlEntry[] = [];
    while (entries.length < limit) {
      const oldest = entries.at(-1)?.sequence;
      if (oldest === 0) break;
      const before = oldest === undefined ? "" : `&before=${oldest}`;
      const { body } = await client.call(
        "GET",
        `${path}/history?limit=${Math.min(page, limit - entries.length)}${before}`,
      );
      const some = body["entries"] as readonly ControlEntry[];
      if (some.length === 0) break;
      entries.push(...some);
    }
    return entries;
  };
  return {
    newest,
    verify: async () => {
      const before = (await client.call("GET", path)).body as unknown as RegistrySnapshot;
      const verified = verifyEntries((await newest(Infinity)).reverse());
      if ((verified.last?.revision ?? 0) < before.revision) {
        const what = `the history ends at revision ${verified.last?.revision ?? 0}, the model is at ${before.revision}`;
        throw new AtPatchError("ATPATCH_INTERNAL", `control log: ${what}; its end is missing`);
      }
      return verified;
    },
  };
}
