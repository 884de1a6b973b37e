/** `grpc.health.v1.Health`: the readiness of the server, also by the name of the inference service. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Health } from "../service/health.ts";
import { AtPatchError } from "../shared/errors.ts";
import { inferenceService } from "./definitions.ts";

export interface HealthRequest {
  readonly service: string;
}

type Status = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

const known: readonly string[] = ["", inferenceService];

/** Milliseconds between two looks at the readiness. */
const interval = 500;

function statusOf(health: Health, service: string): Status {
  if (!known.includes(service)) return "SERVICE_UNKNOWN";
  return health.ready().ready ? "SERVING" : "NOT_SERVING";
}

/** @throws AtPatchError ATPATCH_NOT_FOUND for a service that is not offered */
export async function checkHealth(health: Health, { service }: HealthRequest): Promise<{ status: Status }> {
  const status = statusOf(health, service);
  if (status === "SERVICE_UNKNOWN") {
    throw new AtPatchError("ATPATCH_NOT_FOUND", `there is no service "${service.slice(0, 80)}"`);
  }
  return { status };
}

/** Writes the status now and after every change, until `end` is aborted. */
export async function watchHealth(
  health: Health,
  stream: ServerWritableStream<HealthRequest, object>,
  end: AbortSignal,
): Promise<void> {
  let last: Status | null = null;
  for (;;) {
    const status = statusOf(health, stream.request.service);
    if (status !== last) stream.write({ status });
    last = status;
    if (end.aborted) return;
    await sleep(interval, undefined, { signal: end }).catch(() => {});
  }
}
