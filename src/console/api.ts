/** The server's interface as the page uses it. The token lives in this object alone: a reload forgets it. */
import type {
  DetectorDescription,
  DetectorInfo,
  FeedbackList,
  HistoryEntry,
  ModelState,
  PredictAnswer,
  RecordedSample,
  RepairJob,
  TryOut,
} from "./api-types.ts";
import { ApiFailure } from "./failures.ts";

/** Where the server's routes begin: the page lies in `console/` below it, also behind a proxy with a path of its own. */
const root = new URL("..", import.meta.url);

interface CallOptions {
  readonly body?: unknown;
  /** Sent as it is. */
  readonly raw?: { readonly type: string; readonly data: Blob };
  readonly ifMatch?: number;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer with the id that its request had. */
export interface Predicted {
  readonly answer: PredictAnswer;
  readonly requestId: string;
}

export class Api {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  async models(): Promise<readonly ModelState[]> {
    return (await this.#json<{ models: ModelState[] }>("GET", "admin/models")).models;
  }

  model(name: string): Promise<ModelState> {
    return this.#json("GET", at(name));
  }

  async detectors(name: string): Promise<readonly DetectorInfo[]> {
    return (await this.#json<{ detectors: DetectorInfo[] }>("GET", `${at(name)}/detectors`)).detectors;
  }

  detector(name: string, id: string): Promise<DetectorDescription> {
    return this.#json("GET", `${at(name)}/detectors/${id}`);
  }

  async detectorFile(name: string, id: string): Promise<Blob> {
    return (await this.call("GET", `${at(name)}/detectors/${id}/content`)).blob();
  }

  upload(name: string, file: Blob): Promise<{ readonly id: string }> {
    return this.#json("POST", `${at(name)}/detectors`, {
      raw: { type: "application/octet-stream", data: file },
    });
  }

  async remove(name: string, id: string, ifMatch: number): Promise<void> {
    await this.call("DELETE", `${at(name)}/detectors/${id}`, { ifMatch });
  }

  async activate(name: string, detector: string | null, reason: string, ifMatch: number): Promise<void> {
    await this.call("PUT", `${at(name)}/active`, { body: { detector, reason }, ifMatch });
  }

  async rollback(name: string, reason: string, ifMatch: number): Promise<void> {
    await this.call("POST", `${at(name)}/rollback`, { body: { reason }, ifMatch });
  }

  async setPolicy(name: string, patch: object, reason: string, ifMatch: number): Promise<void> {
    await this.call("PUT", `${at(name)}/policy`, { body: { ...patch, reason }, ifMatch });
  }

  /**
   * The whole history, the oldest first.
   * @param known its beginning, as it was read before
   */
  async history(name: string, known: readonly HistoryEntry[]): Promise<readonly HistoryEntry[]> {
    const entries: HistoryEntry[] = [];
    for (;;) {
      const oldest = entries.at(-1)?.sequence;
      if (oldest !== undefined && oldest <= known.length) break;
      const before = oldest === undefined ? "" : `&before=${oldest}`;
      const path = `${at(name)}/history?limit=${oldest === undefined ? 50 : 1000}${before}`;
      const page = await this.#json<{ entries: HistoryEntry[] }>("GET", path);
      if (page.entries.length === 0) break;
      entries.push(...page.entries);
    }
    return [...known, ...entries.filter(({ sequence }) => sequence >= known.length).reverse()];
  }

  tryOut(name: string): Promise<TryOut> {
    return this.#json("GET", `${at(name)}/samples`);
  }

  async predict(name: string, instance: unknown, mode: "off" | undefined): Promise<Predicted> {
    const parameters = { explain: true, top_k: 5, ...(mode && { mode }) };
    const path = `v1/models/${encodeURIComponent(name)}:predict`;
    const response = await this.call("POST", path, { body: { instances: [instance], parameters } });
    const requestId = response.headers.get("x-request-id") ?? "";
    return { answer: (await response.json()) as PredictAnswer, requestId };
  }

  async recordings(name: string, triggered: boolean | null): Promise<readonly RecordedSample[]> {
    const only = triggered === null ? "" : `&triggered=${triggered}`;
    const path = `${at(name)}/recordings?limit=30${only}`;
    return (await this.#json<{ samples: RecordedSample[] }>("GET", path)).samples;
  }

  async recordedInstance(name: string, sample: RecordedSample): Promise<unknown> {
    const path = `${at(name)}/recordings/${encodeURIComponent(sample.request_id)}/${sample.sample}`;
    return (await this.#json<{ instance: unknown }>("GET", path)).instance;
  }

  feedback(name: string): Promise<FeedbackList> {
    return this.#json("GET", `${at(name)}/feedback`);
  }

  async mark(name: string, mark: object): Promise<void> {
    await this.call("POST", `${at(name)}/feedback`, { body: mark });
  }

  async unmark(name: string, { request_id: id, sample }: RecordedSample): Promise<void> {
    await this.call("DELETE", `${at(name)}/feedback/${encodeURIComponent(id)}/${sample}`);
  }

  async debugSet(name: string): Promise<Blob> {
    return (await this.call("GET", `${at(name)}/debugset`)).blob();
  }

  async repairs(name: string): Promise<readonly RepairJob[]> {
    return (await this.#json<{ repairs: RepairJob[] }>("GET", `${at(name)}/repairs`)).repairs;
  }

  /** @param file a debug set, or null for the recorder's */
  startRepair(
    name: string,
    options: Readonly<Record<string, string>>,
    file: Blob | null,
  ): Promise<RepairJob> {
    const path = `${at(name)}/repairs?${new URLSearchParams(options).toString()}`;
    return this.#json(
      "POST",
      path,
      file ? { raw: { type: "application/octet-stream", data: file } } : { body: {} },
    );
  }

  async cancelRepair(name: string, id: string): Promise<void> {
    await this.call("DELETE", `${at(name)}/repairs/${id}`);
  }

  async metrics(): Promise<string> {
    return (await this.call("GET", "metrics")).text();
  }

  /** @throws ApiFailure for anything but success */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Response> {
    const { body, raw, ifMatch, signal, headers } = options;
    const type = raw?.type ?? (body === undefined ? undefined : "application/json");
    const response = await fetch(new URL(path, root), {
      method,
      cache: "no-store",
      credentials: "omit",
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(type && { "content-type": type }),
        ...(ifMatch !== undefined && { "if-match": String(ifMatch) }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(raw && { body: raw.data }),
      ...(signal && { signal }),
    }).catch((error: unknown) => {
      if (signal?.aborted === true) throw error;
      throw new ApiFailure("the server cannot be reached", "ATPATCH_NETWORK", 0);
    });
    if (response.ok) return response;
    const failure = (await response.json().catch(() => ({}))) as { error?: string; code?: string };
    const message = failure.error ?? `the server answered with status ${response.status}`;
    throw new ApiFailure(message, failure.code ?? "", response.status);
  }

  async #json<T>(method: string, path: string, options?: CallOptions): Promise<T> {
    return (await (await this.call(method, path, options)).json()) as T;
  }
}

const at = (name: string): string => `admin/models/${encodeURIComponent(name)}`;
