/** The admin interface of a running proxy, for the verbs that operate one. */
import { Option, type Command } from "commander";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { webAddress } from "./arguments.ts";

/** Options of every verb that talks to a proxy. */
export interface RemoteOptions {
  readonly url: URL;
  readonly json?: boolean;
}

export type Body = Readonly<Record<string, unknown>>;

export interface AdminRequest {
  readonly body?: Uint8Array | object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Said in the help of every verb that talks to a proxy. */
export const tokenHelp = "The bearer token comes from ATPATCH_TOKEN.";

/** Adds `--url` and `--json`. */
export function remoteOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--url <address>", "address of the proxy, or of its admin listener")
        .argParser(webAddress)
        .makeOptionMandatory(),
    )
    .option("--json", "print one JSON document");
}

export class AdminClient {
  readonly #root: URL;
  readonly #token: string;

  /** @param token what authorises the calls; none is sent when empty */
  constructor(url: URL, token = process.env["ATPATCH_TOKEN"] ?? "") {
    this.#root = new URL("admin/", url.href.endsWith("/") ? url : `${url.href}/`);
    this.#token = token;
  }

  /** Path of a model, or of something below it. */
  static model(name: string, below = ""): string {
    return `models/${encodeURIComponent(name)}${below}`;
  }

  /**
   * Calls the admin interface and reads its JSON.
   * @param path below `/admin/`
   * @throws AtPatchError with what the server said and what to do about it
   */
  async call(
    method: string,
    path: string,
    request: AdminRequest = {},
  ): Promise<{ status: number; body: Body }> {
    const answer = await this.open(method, path, request);
    const content: unknown = await answer.json().catch(() => ({}));
    return { status: answer.status, body: asBody(content) };
  }

  /** The same without reading the answer. */
  async open(
    method: string,
    path: string,
    { body, headers = {} }: AdminRequest = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    const bytes = body instanceof Uint8Array;
    const answer = await fetch(new URL(path, this.#root), {
      method,
      headers: {
        ...(this.#token !== "" && { authorization: `Bearer ${this.#token}` }),
        ...(body !== undefined && {
          "content-type": bytes ? "application/octet-stream" : "application/json",
        }),
        ...headers,
      },
      ...(body !== undefined && { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
      ...(signal && { signal }),
    }).catch((error: unknown) => {
      const cause = error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
      throw new AtPatchError(
        "ATPATCH_NOT_READY",
        `${this.#root.host} cannot be reached (${cause}): is the proxy running there?`,
      );
    });
    if (answer.ok) return answer;
    const { error } = asBody(await answer.json().catch(() => ({})));
    const said = typeof error === "string" ? error : answer.statusText;
    throw new AtPatchError(
      answer.status === 401 ? "ATPATCH_UNAUTHENTICATED" : "ATPATCH_BAD_INPUT",
      `${method} admin/${path}: ${answer.status} ${said}${advice(answer.status, this.#token)}`,
    );
  }

  /**
   * The id of a detector by itself or by its first digits, at least six of them, with or without "sha256-".
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR when none or several begin so
   */
  async detector(model: string, text: string): Promise<string> {
    if (/^sha256-[0-9a-f]{64}$/.test(text)) return text;
    const digits = text.replace(/^sha256-/, "").toLowerCase();
    const { body } = await this.call("GET", AdminClient.model(model, "/detectors"));
    const ids = (body["detectors"] as readonly { readonly id: string }[]).map(({ id }) => id);
    const found = /^[0-9a-f]{6,}$/.test(digits) ? ids.filter((id) => id.startsWith(`sha256-${digits}`)) : [];
    if (found.length === 1) return found[0]!;
    const what = found.length > 1 ? `${found.length} stored detectors begin` : "no stored detector begins";
    throw new AtPatchError(
      "ATPATCH_UNKNOWN_DETECTOR",
      `${what} with "${text.slice(0, 80)}": give more of its id`,
    );
  }
}

function asBody(content: unknown): Body {
  return typeof content === "object" && content !== null ? (content as Body) : {};
}

function advice(status: number, token: string): string {
  if (status === 401)
    return token === "" ? "; set ATPATCH_TOKEN" : "; ATPATCH_TOKEN is not a token of this server";
  if (status === 403) return "; the token lacks the scope";
  return "";
}
