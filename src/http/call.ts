/** A request as the services see it, and the headers that tell what was done to it. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Call } from "../service/call.ts";
import type { Timings } from "../service/timings.ts";

/** The call of a request; its signal is aborted when the caller hangs up before the answer is out. */
export function callOf(request: FastifyRequest, reply: FastifyReply): Call {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return { startedAt: request.startedAt, signal: gone.signal, principal: request.principal };
}

export interface Outcome {
  readonly detector: string | null;
  readonly triggered: number;
  readonly samples: number;
  readonly timings: Timings;
}

/** Sets the headers of an answered inference. */
export function outcomeHeaders(request: FastifyRequest, reply: FastifyReply, outcome: Outcome): void {
  const { detector, triggered, samples, timings } = outcome;
  const total = performance.now() - request.startedAt;
  const timing = { queue: timings.queueMs, infer: timings.inferMs, total };
  reply.headers({
    "x-atpatch-detector": detector ?? "none",
    "x-atpatch-triggered": `${triggered}/${samples}`,
    "server-timing": Object.entries(timing)
      .map(([name, milliseconds]) => `${name};dur=${milliseconds.toFixed(2)}`)
      .join(", "),
  });
}
