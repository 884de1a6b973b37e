/** Servers in process groups of their own, so that whatever they start is paused and ended with them. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { groupTimeMs } from "./processor-time.ts";

export interface Launch {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  /** File for what it prints. */
  readonly log: string;
}

const patience = { readyMs: 90_000, endMs: 5_000 };

export class ServerProcess {
  readonly #launch: Launch;
  readonly #child: ChildProcess;

  private constructor(launch: Launch, child: ChildProcess) {
    this.#launch = launch;
    this.#child = child;
  }

  static start(launch: Launch): ServerProcess {
    const log = openSync(launch.log, "w");
    const child = spawn(launch.command, launch.args, {
      cwd: launch.folder,
      env: { ...process.env, ...launch.env },
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    // A command that cannot be run shows as a process without an id.
    child.on("error", () => {});
    return new ServerProcess(launch, child);
  }

  /** Waits until `url` answers 200. @throws Error with the last line it printed */
  async ready(url: string): Promise<void> {
    const end = performance.now() + patience.readyMs;
    while (performance.now() < end && this.#isRunning()) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      if (answer?.ok) return;
      await sleep(200);
    }
    const last = readFileSync(this.#launch.log, "utf8").trim().split("\n").at(-1) ?? "";
    throw new Error(`${this.#launch.name} did not become ready: ${last}`);
  }

  /** Processor time that its group has used, in ms. */
  timeMs(): number {
    return this.#child.pid === undefined ? NaN : groupTimeMs(this.#child.pid);
  }

  /** Takes no processor time until {@link resume}. */
  pause(): void {
    this.#signal("SIGSTOP");
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Asks the group to end, and sees to it after a while. */
  async end(): Promise<void> {
    if (this.#isRunning()) {
      const ended = once(this.#child, "exit");
      this.resume();
      this.#signal("SIGTERM");
      await Promise.race([ended, sleep(patience.endMs, undefined, { ref: false })]);
    }
    this.kill();
  }

  /** Ends what is left of the group at once. */
  kill(): void {
    this.#signal("SIGKILL");
  }

  #isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  }
}
