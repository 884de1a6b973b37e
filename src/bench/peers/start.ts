/** Starts the compared servers, each with ports and a folder of its own. */
import { mkdirSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { peerFolder } from "./environment.ts";
import { atpatch, type Peer } from "./lineup.ts";
import type { Question } from "./question.ts";
import { ServerProcess } from "./server-process.ts";

export interface Conditions {
  /** Intra-op threads of every session. */
  readonly threads: number;
  /** Most samples that share a run, for servers that can; 1 for none. */
  readonly batch: number;
  /** Folder for what the servers write. */
  readonly scratch: string;
}

export interface Ports {
  readonly http: number;
  readonly grpc: number;
  readonly metrics: number;
}

export interface Started {
  readonly server: ServerProcess;
  readonly ports: Ports;
}

const adminToken = "bench";

/** The built product. Call {@link checkDetector} when it is ready. */
export async function startAtPatch(
  models: string,
  { model }: Question,
  conditions: Conditions,
): Promise<Started> {
  const { ports, folder, log } = await place(atpatch.key, conditions);
  const server = ServerProcess.start({
    name: atpatch.name,
    command: process.execPath,
    args: [resolve("dist/main.js")],
    folder,
    log,
    env: {
      ATPATCH_HOST: "127.0.0.1",
      ATPATCH_PORT: String(ports.http),
      ATPATCH_GRPC_PORT: String(ports.grpc),
      ATPATCH_MODELS: resolve(models, model),
      ATPATCH_STATE: join(folder, "state"),
      ATPATCH_ADMIN_TOKEN: adminToken,
      ATPATCH_LOG_LEVEL: "warn",
      ATPATCH_WORKERS: "1",
      ATPATCH_THREADS: String(conditions.threads),
      ATPATCH_BATCH: String(conditions.batch),
    },
  });
  return { server, ports };
}

/** @throws Error unless a detector is active in mode enforce */
export async function checkDetector({ ports }: Started, model: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${ports.http}/admin/models/${model}`, {
    headers: { authorization: `Bearer ${adminToken}` },
  });
  const { active, policy } = (await response.json()) as {
    active: string | null;
    policy: { mode: string };
  };
  if (!active || policy.mode !== "enforce") throw new Error("AtPatch has no detector active in mode enforce");
}

export async function startPeer(
  { key, name }: Peer,
  python: string,
  { model, path }: Question,
  conditions: Conditions,
): Promise<Started> {
  const { ports, folder, log } = await place(key, conditions);
  const server = ServerProcess.start({
    name,
    command: python,
    args: [join(peerFolder(key), "server.py")],
    folder,
    log,
    env: {
      PEER_MODEL: resolve(path),
      PEER_NAME: model,
      PEER_PORT: String(ports.http),
      PEER_GRPC_PORT: String(ports.grpc),
      PEER_METRICS_PORT: String(ports.metrics),
      PEER_THREADS: String(conditions.threads),
      PEER_BATCH: String(conditions.batch),
      PEER_SCRATCH: folder,
      // Where session.py is.
      PYTHONPATH: resolve(peerFolder(key), ".."),
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  return { server, ports };
}

async function place(
  key: string,
  { scratch }: Conditions,
): Promise<{ ports: Ports; folder: string; log: string }> {
  const folder = join(scratch, key);
  mkdirSync(folder);
  const [http, grpc, metrics] = await freePorts(3);
  return {
    ports: { http: http!, grpc: grpc!, metrics: metrics! },
    folder,
    log: join(scratch, `${key}.log`),
  };
}

/** Ports that nobody listens on. */
async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(listeners.map((listener) => once(listener, "listening")));
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => once(listener.close(), "close")));
  return ports;
}
