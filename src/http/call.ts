/** A request as the services see it. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { clientHeader, clientKey, type Call } from "../service/call.ts";

/** The call of a request; its signal is aborted when the caller hangs up before the answer is out. */
export function callOf(request: FastifyRequest, reply: FastifyReply): Call {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  const { startedAt, principal, id, ip: address, trace } = request;
  return {
    startedAt,
    address,
    signal: gone.signal,
    principal,
    id,
    ...(trace && { trace }),
    ...clientKey(request.headers[clientHeader]),
  };
}
