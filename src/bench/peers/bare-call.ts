/** The bare runtime in a child process, as if it were a server. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LoadResult } from "../load-generator.ts";
import type { Call } from "./call.ts";
import type { Question } from "./question.ts";

export function createBareCall({ path, inputs, output }: Question, threads: number): Call {
  const child = fork(fileURLToPath(new URL("bare-loop.mjs", import.meta.url)), {
    execArgv: [],
    serialization: "advanced",
  });
  const gone = once(child, "exit").then(() => Promise.reject(new Error("the bare loop ended")));
  gone.catch(() => {});
  const answer = (): Promise<unknown> =>
    Promise.race([once(child, "message").then(([message]) => message as unknown), gone]);
  child.send({ path, threads, inputs, output });
  const first = answer() as Promise<number[]>;
  return {
    good: "run",
    once: () => first,
    async load(_connections, seconds) {
      child.send(seconds);
      return (await answer()) as LoadResult;
    },
    async end() {
      if (child.connected) child.disconnect();
      await gone.catch(() => {});
    },
  };
}
