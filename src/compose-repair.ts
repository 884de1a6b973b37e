/**
 * Repairs in a process of their own: training takes minutes of every core it gets, and must neither slow down who waits for
 * an answer nor take the server with it when it runs out of memory. What callers sent travels by message, never by file.
 */
import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { RepairRun, RepairRunner, RepairTask, SetCounts } from "./service/repair-job.ts";
import { AtPatchError, type ErrorCode } from "./shared/errors.ts";

/** What the process is told. */
export interface RepairStart extends RepairTask {
  /** Path of the model folder. */
  readonly folder: string;
  /** Sessions that run at once, a thread each. */
  readonly workers: number;
}

/** What the process tells. */
export type RepairMessage =
  | ({ readonly kind: "accepted" } & SetCounts)
  | { readonly kind: "progress"; readonly stage: string; readonly done: number; readonly all: number }
  | { readonly kind: "done"; readonly bundle: Uint8Array }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

/** Half of the cores: serving goes on. */
const workers = (): number => Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));

/** @param folderOf path of the folder that a model is served from */
export function repairProcesses(folderOf: (model: string) => string): RepairRunner {
  return {
    start: (task, progress) => {
      const accepted = deferred<SetCounts>();
      const bundle = deferred<Uint8Array>();
      const fail = (error: AtPatchError): void => {
        accepted.reject(error);
        bundle.reject(error);
      };
      // Whoever waits for one of them only is not to blame for the other.
      accepted.promise.catch(() => {});
      bundle.promise.catch(() => {});
      const child = forkRepair();
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      child.on("message", (message: RepairMessage) => {
        switch (message.kind) {
          case "accepted":
            accepted.resolve({ clean: message.clean, failing: message.failing });
            return;
          case "progress":
            progress({ stage: message.stage, done: message.done, all: message.all });
            return;
          case "done":
            bundle.resolve(message.bundle);
            return;
          case "failed":
            fail(new AtPatchError(message.code, message.message));
        }
      });
      child.once("error", (cause) =>
        fail(new AtPatchError("ATPATCH_INTERNAL", "the repair process cannot be started", { cause })),
      );
      child.once("exit", (code, signal) =>
        fail(
          new AtPatchError(
            "ATPATCH_INTERNAL",
            `the repair process ended early (${signal ?? `code ${code}`}); it may have run out of memory`,
          ),
        ),
      );
      const start: RepairStart = { ...task, folder: folderOf(task.model), workers: workers() };
      child.send(start, (error) => {
        if (error) child.kill("SIGKILL");
      });
      const stop = async (): Promise<void> => {
        child.kill("SIGKILL");
        await gone;
      };
      return { accepted: accepted.promise, bundle: bundle.promise, stop } satisfies RepairRun;
    },
  };
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

function deferred<T>(): Deferred<T> {
  let settle!: Pick<Deferred<T>, "resolve" | "reject">;
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}

function forkRepair() {
  const fromSources = import.meta.url.endsWith(".ts");
  const file = new URL(fromSources ? "./repair-main.ts" : "./repair-main.js", import.meta.url);
  const loader = fromSources ? ["--import", createRequire(import.meta.url).resolve("tsx")] : [];
  const { PATH, HOME, TMPDIR } = process.env;
  return fork(fileURLToPath(file), {
    serialization: "advanced",
    execArgv: loader,
    // No secret of the server goes along.
    env: {
      ...(PATH && { PATH }),
      ...(HOME && { HOME }),
      ...(TMPDIR && { TMPDIR }),
      ORT_DISABLE_TELEMETRY: "1",
    },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}
