/** A store that lives as long as the process. */
import { bundleId } from "./bundle.ts";
import {
  continueChain,
  decodeEntry,
  emptyChain,
  type ControlDraft,
  type ControlEntry,
} from "./control-log.ts";
import {
  pageOf,
  unknownDetector,
  type DetectorStore,
  type HistoryQuery,
  type StoredDetector,
} from "./store.ts";

export class MemoryStore implements DetectorStore {
  readonly #clock: () => Date;
  readonly #detectors = new Map<string, { readonly bytes: Uint8Array; readonly uploadedAt: string }>();
  readonly #lines: string[] = [];
  #end = emptyChain;

  constructor(clock: () => Date = () => new Date()) {
    this.#clock = clock;
  }

  // Async throughout, so that every failure is a rejection as in the other stores.
  async put(bytes: Uint8Array): Promise<{ id: string; created: boolean }> {
    const id = bundleId(bytes);
    if (this.#detectors.has(id)) return { id, created: false };
    this.#detectors.set(id, { bytes: new Uint8Array(bytes), uploadedAt: this.#clock().toISOString() });
    return { id, created: true };
  }

  async get(id: string): Promise<Uint8Array> {
    const stored = this.#detectors.get(id);
    if (!stored) throw unknownDetector(id);
    return new Uint8Array(stored.bytes);
  }

  async find(id: string): Promise<StoredDetector> {
    const stored = this.#detectors.get(id);
    if (!stored) throw unknownDetector(id);
    return { id, size: stored.bytes.length, uploadedAt: stored.uploadedAt };
  }

  async list(): Promise<StoredDetector[]> {
    return Promise.all([...this.#detectors.keys()].map((id) => this.find(id)));
  }

  async delete(id: string): Promise<void> {
    if (!this.#detectors.delete(id)) throw unknownDetector(id);
  }

  async append(draft: ControlDraft): Promise<ControlEntry> {
    const { entry, line, end } = continueChain(this.#end, draft);
    this.#lines.push(line);
    this.#end = end;
    return entry;
  }

  async read(query: HistoryQuery = {}): Promise<ControlEntry[]> {
    const { from, to } = pageOf(query, this.#lines.length);
    return this.#lines
      .slice(from, to)
      .map((line, index) => decodeEntry(line, from + index))
      .reverse();
  }

  async last(): Promise<ControlEntry | null> {
    return (await this.read({ limit: 1 }))[0] ?? null;
  }

  async close(): Promise<void> {}
}
