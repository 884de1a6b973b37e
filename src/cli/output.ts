/** The only printer of the command line: human text or exactly one JSON document on stdout, everything else on stderr. */
import { AtPatchError, messageOf } from "../shared/errors.ts";

/** Where text goes. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether a progress line may be rewritten. */
  readonly live: boolean;
  /** Whether stdout shows colours. */
  readonly colour: boolean;
  /** Width of stdout in characters. */
  readonly columns: number;
}

export class Output {
  readonly terminal: Terminal;
  /** Whether stdout gets one JSON document and nothing else. */
  readonly json: boolean;
  #stage = "";
  #open = false;

  constructor(terminal: Terminal, json: boolean) {
    this.terminal = terminal;
    this.json = json;
  }

  /** The answer of a verb: the document with --json, else the text. */
  result(document: unknown, text: () => string): void {
    this.#closeLine();
    this.terminal.out(this.json ? `${JSON.stringify(document, null, 2)}\n` : text());
  }

  /** Human text on the way; nothing with --json. */
  say(text: string): void {
    if (this.json) return;
    this.#closeLine();
    this.terminal.out(`${text}\n`);
  }

  /** A remark for the person at the terminal. */
  note(text: string): void {
    this.#closeLine();
    this.terminal.err(`${text}\n`);
  }

  /** What is being done; `all` is 0 when it cannot be counted. One line a stage where lines cannot be rewritten. */
  progress(stage: string, done: number, all: number): void {
    if (this.terminal.live) {
      this.terminal.err(`\r\x1b[2K${stage}${all > 0 ? `  ${bar(done / all)} ${done}/${all}` : " …"}`);
      this.#open = true;
    } else if (stage !== this.#stage) {
      this.terminal.err(`${stage} …\n`);
    }
    this.#stage = stage;
  }

  /** A failure: a sentence on stderr, with --json also a document with its code. */
  failure(error: unknown): void {
    const code = error instanceof AtPatchError ? error.code : undefined;
    this.note(`atpatch: ${messageOf(error)}`);
    if (this.json) this.result({ error: messageOf(error), ...(code && { code }) }, () => "");
  }

  #closeLine(): void {
    if (this.#open) this.terminal.err("\r\x1b[2K");
    this.#open = false;
  }
}

function bar(share: number): string {
  const width = 24;
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(full)}${" ".repeat(width - full)}]`;
}
