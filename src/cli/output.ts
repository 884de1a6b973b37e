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
  readonly #clock: () => number;
  #stage = "";
  #open = false;
  /** The kind of work whose progress is counted, and what is known of its pace. */
  #pace = new Pace("", 0, 0);
  #done = 0;

  /** @param clock milliseconds */
  constructor(terminal: Terminal, json: boolean, clock: () => number = () => performance.now()) {
    this.terminal = terminal;
    this.json = json;
    this.#clock = clock;
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

  /**
   * What is being done, with the time that is left by its pace so far; `all` is 0 when it cannot be counted. What follows a colon
   * in `stage` is detail. One line a stage where lines cannot be rewritten.
   */
  progress(stage: string, done: number, all: number): void {
    const [kind = stage] = stage.split(":");
    const now = this.#clock();
    if (this.#pace.kind !== kind || done < this.#done) this.#pace = new Pace(kind, done, now);
    this.#done = done;
    if (this.terminal.live) {
      const counted = `  ${bar(done / all)} ${done}/${all}${this.#pace.left(done, all, now)}`;
      this.terminal.err(`\r\x1b[2K${stage}${all > 0 ? counted : " …"}`);
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

/** How fast one kind of work goes. */
class Pace {
  readonly kind: string;
  /** Where it stood when it was first heard of, at `since` milliseconds. */
  readonly from: number;
  readonly #since: number;

  constructor(kind: string, from: number, since: number) {
    this.kind = kind;
    this.from = from;
    this.#since = since;
  }

  /** The time left in words; empty while there is too little to go by. */
  left(done: number, all: number, now: number): string {
    const seconds = (now - this.#since) / 1000;
    if (done <= this.from || done >= all || seconds < leastSeconds) return "";
    const rest = Math.ceil((seconds * (all - done)) / (done - this.from));
    return `, about ${rest < 90 ? `${rest} s` : `${Math.round(rest / 60)} min`} left`;
  }
}

/** Seconds of work before its pace says something. */
const leastSeconds = 2;

function bar(share: number): string {
  const width = 24;
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(full)}${" ".repeat(width - full)}]`;
}
