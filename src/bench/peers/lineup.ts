/** The servers that are compared, and how each is deployed. */

/**
 * How tensors travel: JSON of the server's own, which a coroutine may answer instead of a function; JSON, binary data or gRPC
 * of the Open Inference Protocol.
 */
export type Form = "plain" | "async" | "json" | "binary" | "grpc";

export interface Peer {
  /** As `--peers` names it, and the folder of its files. */
  readonly key: string;
  readonly name: string;
  /** How it is deployed here, in words. */
  readonly deployed: string;
  /** Answers 200 when the server can be asked. */
  readonly readyPath: string;
  readonly forms: readonly Form[];
  /** What of its environment the report names. */
  readonly packages: readonly string[];
}

const runtime = "onnxruntime";

/** What the loop over the runtime without a server is called. */
export const bare = "bare loop";

/** The product is built and started as it ships, with its detector active. */
export const atpatch = {
  key: "atpatch",
  name: "AtPatch",
  deployed: "one process, one worker thread with one session; shipped detector active, mode enforce",
  readyPath: "/v2/health/ready",
  forms: ["json", "binary", "grpc"],
} as const;

export const peers: readonly Peer[] = [
  {
    key: "fastapi",
    name: "FastAPI",
    deployed:
      "uvicorn with one process around one session, asked by a plain function in FastAPI's thread pool, or by a coroutine (async)",
    readyPath: "/health",
    forms: ["plain", "async"],
    packages: ["fastapi", "uvicorn", runtime],
  },
  {
    key: "litserve",
    name: "LitServe",
    deployed:
      "one process for HTTP, one worker process with one session; max_batch_size where batching is on",
    readyPath: "/health",
    forms: ["plain"],
    packages: ["litserve", "uvicorn", runtime],
  },
  {
    // It reads no binary tensors over REST.
    key: "mlserver",
    name: "MLServer",
    deployed:
      "custom runtime, its default of one worker process with one session; adaptive batching where batching is on",
    readyPath: "/v2/health/ready",
    forms: ["json", "grpc"],
    packages: ["mlserver", "uvicorn", runtime],
  },
  {
    key: "kserve",
    name: "KServe",
    deployed: "kserve.Model in one process around one session; it has no batching",
    readyPath: "/v2/health/ready",
    forms: ["json", "binary", "grpc"],
    packages: ["kserve", "uvicorn", runtime],
  },
  {
    key: "triton",
    name: "Triton",
    deployed: "Python backend with one instance around one session; dynamic batching where batching is on",
    readyPath: "/v2/health/ready",
    forms: ["json", "binary", "grpc"],
    packages: ["nvidia-pytriton", runtime],
  },
];

const formNames: Readonly<Record<Form, string>> = {
  plain: "JSON",
  async: "JSON async",
  json: "JSON",
  binary: "binary",
  grpc: "gRPC",
};

/** What a server is called with one of its forms. */
export function entryName(name: string, form: Form): string {
  return `${name} ${formNames[form]}`;
}
