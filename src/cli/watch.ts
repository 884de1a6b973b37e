/** `watch`: what happens in a running proxy, as it happens. */
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import type { ControlEntry } from "../detector/control-log.ts";
import { AtPatchError } from "../shared/errors.ts";
import { AdminClient, remoteOptions, tokenHelp, type RemoteOptions } from "./admin-client.ts";
import { natural } from "./arguments.ts";
import type { Context } from "./context.ts";
import { entryText } from "./control-text.ts";
import { percent } from "./format.ts";
import { readEvents, type StreamedEvent } from "./event-stream.ts";
import type { Output } from "./output.ts";

interface Options extends RemoteOptions {
  readonly model?: string;
  readonly after?: string;
  readonly count: number;
}

export function watchCommand(context: Context): Command {
  return remoteOptions(new Command("watch"))
    .description("print what happens in a running proxy: swaps, policy, guard, trigger rate")
    .option("--model <name>", "events of this model alone")
    .option("--after <id>", "begin with what happened after this event")
    .option("--count <events>", "stop after so many; 0 goes on until interrupted", natural, 0)
    .addHelpText(
      "after",
      `
When the connection breaks it is made again, and what was missed is printed first. With --json every event is one document on a
line of its own: {"id", "event", "data"}. ${tokenHelp} It needs the scope read.

Examples:
  $ atpatch watch --url http://127.0.0.1:8080
  $ atpatch watch --url http://127.0.0.1:8080 --json | jq 'select(.event == "guard")'`,
    )
    .action(async (options: Options) => {
      await watch(new AdminClient(options.url), options, context.output(options));
    });
}

/** Milliseconds until the connection is made again; the server may say otherwise. */
const defaultRetryMs = 2_000;

async function watch(client: AdminClient, { model, after, count }: Options, output: Output): Promise<void> {
  let last = after;
  let told = 0;
  let retryMs = defaultRetryMs;
  for (let connected = false; ;) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { "last-event-id": last };
      const gone = new AbortController();
      const { body } = await client.open("GET", "events", { headers }, gone.signal);
      connected = true;
      for await (const event of readEvents(body!)) {
        retryMs = event.retryMs ?? retryMs;
        if (event.name === null) continue;
        last = event.id ?? last;
        if (model !== undefined && event.data["model"] !== undefined && event.data["model"] !== model)
          continue;
        tell(output, event);
        told += 1;
        if (told !== count) continue;
        // Not waited for: the loop would end only when the server has let go of the stream.
        setImmediate(() => gone.abort());
        return;
      }
    } catch (error) {
      // The first connection must come about; a refusal does not get better by asking again.
      if (!connected || (error instanceof AtPatchError && error.code !== "ATPATCH_NOT_READY")) throw error;
    }
    output.note("the connection broke; trying again …");
    await sleep(retryMs);
  }
}

function tell(output: Output, { id, name, data }: StreamedEvent): void {
  if (output.json) output.terminal.out(`${JSON.stringify({ id, event: name, data })}\n`);
  else output.say(eventText(name, data));
}

function eventText(name: string | null, data: Readonly<Record<string, unknown>>): string {
  const model = typeof data["model"] === "string" ? data["model"] : "";
  if (name === "trigger_rate") {
    const { rate, samples, seconds } = data as { rate: number | null; samples: number; seconds: number };
    return `${model}  ${rate === null ? "no samples" : `${percent(rate)} % of ${samples} samples triggered`} in ${seconds} s`;
  }
  if (name === "guard") return `${model}  GUARD: ${(data as { reason: string }).reason}`;
  if (typeof data["sequence"] === "number") return `${model}  ${entryText(data as unknown as ControlEntry)}`;
  return `${model}  ${name} ${JSON.stringify(data)}`;
}
