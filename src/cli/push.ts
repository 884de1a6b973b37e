/** `push`: a bundle to a running proxy. */
import { Command } from "commander";
import { AtPatchError, messageOf } from "../shared/errors.ts";
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
The bearer token comes from ATPATCH_TOKEN; it needs the scope detectors:write, with --activate also policy:write.

Example:
  $ ATPATCH_TOKEN=… atpatch push patch.safetensors --url http://127.0.0.1:8080 --model gtsrb-vit --activate`,
    )
    .action(async (path: string, options: Options) => {
      const output = context.output(options);
      const { bytes } = await readBundle(path);
      const client = adminClient(options.url, process.env["ATPATCH_TOKEN"] ?? "");
      const base = `admin/models/${encodeURIComponent(options.model)}`;
      const uploaded = await client(
        "POST",
        `${base}/detectors`,
        new Uint8Array(bytes),
        "application/octet-stream",
      );
      const id = String(uploaded.body["id"]);
      const created = uploaded.status === 201;
      let revision: unknown = null;
      if (options.activate === true) {
        const change = JSON.stringify({ detector: id, reason: options.reason });
        revision =
          (await client("PUT", `${base}/active`, change, "application/json")).body["revision"] ?? null;
      }
      const document = { detector: id, created, activated: options.activate === true, revision };
      output.result(
        document,
        () =>
          `${id} ${created ? "uploaded" : "was there already"}${document.activated ? `, active since revision ${String(revision)}` : ""}\n`,
      );
    });
}

type Body = Readonly<Record<string, unknown>>;
type AdminClient = (
  method: string,
  path: string,
  body: Uint8Array<ArrayBuffer> | string,
  type: string,
) => Promise<{ status: number; body: Body }>;

/** Calls the admin interface; a refusal becomes an error with what the server said and what to do about it. */
function adminClient(url: URL, token: string): AdminClient {
  const root = url.href.endsWith("/") ? url.href : `${url.href}/`;
  return async (method, path, body, type) => {
    const headers: Record<string, string> = { "content-type": type };
    if (token !== "") headers["authorization"] = `Bearer ${token}`;
    const answer = await fetch(new URL(path, root), { method, headers, body }).catch((error: unknown) => {
      const cause = error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
      throw new AtPatchError(
        "ATPATCH_NOT_READY",
        `${url.host} cannot be reached (${cause}): is the proxy running there?`,
      );
    });
    const content: unknown = await answer.json().catch(() => ({}));
    const parsed = (typeof content === "object" && content !== null ? content : {}) as Body;
    if (answer.ok) return { status: answer.status, body: parsed };
    const said = typeof parsed["error"] === "string" ? parsed["error"] : answer.statusText;
    throw new AtPatchError(
      answer.status === 401 ? "ATPATCH_UNAUTHENTICATED" : "ATPATCH_BAD_INPUT",
      `${method} ${path}: ${answer.status} ${said}${advice(answer.status, token)}`,
    );
  };
}

function advice(status: number, token: string): string {
  if (status === 401)
    return token === "" ? "; set ATPATCH_TOKEN" : "; ATPATCH_TOKEN is not a token of this server";
  if (status === 403) return "; the token lacks the scope";
  return "";
}
