/**
 * The flight recorder of one model: what it answered lately, so that a wrong answer can be found again and marked. It lives
 * in memory alone, is bounded by count, bytes and age, and records nothing unless the operator asked for it.
 */
import { sha256 } from "../shared/digest.ts";
import type { RecordedSample, Recording, SampleMark } from "./recording.ts";

export const recordModes = ["off", "features", "inputs"] as const;
/** off: nothing; features: answers with scores and attention features; inputs: the instances as well. */
export type RecordMode = (typeof recordModes)[number];

export interface RecorderSettings {
  readonly mode: RecordMode;
  /** Most samples that are kept. */
  readonly samples: number;
  /** Most bytes that are kept. */
  readonly bytes: number;
  /** Longest time a sample is kept, in milliseconds. */
  readonly ageMs: number;
}

export const noRecording: RecorderSettings = Object.freeze({ mode: "off", samples: 0, bytes: 0, ageMs: 0 });

export interface RecorderState {
  readonly mode: RecordMode;
  readonly samples: number;
  readonly marked: number;
  readonly bytes: number;
  /** ISO 8601, UTC; null when nothing is kept. */
  readonly oldest: string | null;
  readonly limits: { readonly samples: number; readonly bytes: number; readonly age_s: number };
}

/** Longest time between two looks for samples that are too old, in milliseconds. */
const longestLook = 60_000;
/** An instance that would take more than this share of the memory is not kept. */
const largestShare = 1 / 8;

export class FlightRecorder {
  readonly #settings: RecorderSettings;
  readonly #now: () => number;
  /** Unmarked samples go first when room is needed; both in the order of recording or marking. */
  readonly #unmarked = new Map<string, RecordedSample>();
  readonly #marked = new Map<string, RecordedSample>();
  readonly #timer: NodeJS.Timeout | null;
  #bytes = 0;

  /** @param now milliseconds since 1970 */
  constructor(settings: RecorderSettings, now: () => number = Date.now) {
    this.#settings = settings;
    this.#now = now;
    const look = Math.min(longestLook, settings.ageMs);
    this.#timer = settings.mode === "off" ? null : setInterval(() => this.#forgetOld(), look).unref();
  }

  /** Whether anything is recorded at all. */
  get records(): boolean {
    return this.#settings.mode !== "off";
  }

  get mode(): RecordMode {
    return this.#settings.mode;
  }

  /**
   * Keeps an answered sample. One of the same request id and number is replaced, unless it was marked: nobody can wash a
   * mark away by sending its id again.
   */
  record(recording: Recording): void {
    const { mode, bytes: limit } = this.#settings;
    if (mode === "off") return;
    const key = keyOf(recording.request, recording.sample);
    if (this.#marked.has(key)) return;
    this.#drop(this.#unmarked, key);
    const json = mode === "inputs" ? Buffer.from(JSON.stringify(recording.instance)) : null;
    const instance = json !== null && json.length <= limit * largestShare ? json : null;
    const sample: RecordedSample = {
      ...recording,
      at: this.#now(),
      columns: mode === "inputs" ? recording.columns : recording.columns.map(withoutPlace),
      instance,
      digest: instance && sha256(instance),
      mark: null,
    };
    this.#unmarked.set(key, sample);
    this.#bytes += sizeOf(sample);
    this.#makeRoom();
  }

  /** @returns null when it is not kept, or no longer */
  find(request: string, sample: number): RecordedSample | null {
    this.#forgetOld();
    const key = keyOf(request, sample);
    return this.#marked.get(key) ?? this.#unmarked.get(key) ?? null;
  }

  /** Everything that is kept, the newest first. */
  all(): RecordedSample[] {
    this.#forgetOld();
    // Ties keep the order of recording.
    return [...this.#unmarked.values(), ...this.#marked.values()].sort((a, b) => a.at - b.at).reverse();
  }

  /** Puts a mark on a kept sample, or takes it off. */
  mark({ request, sample }: RecordedSample, mark: SampleMark | null): RecordedSample {
    const key = keyOf(request, sample);
    const found = this.#marked.get(key) ?? this.#unmarked.get(key);
    if (found === undefined) throw new Error(`no sample ${key} is recorded`);
    const marked = { ...found, mark };
    this.#unmarked.delete(key);
    this.#marked.delete(key);
    (mark === null ? this.#unmarked : this.#marked).set(key, marked);
    return marked;
  }

  get state(): RecorderState {
    this.#forgetOld();
    const { mode, samples, bytes, ageMs } = this.#settings;
    const oldest = this.#oldest();
    return {
      mode,
      samples: this.#unmarked.size + this.#marked.size,
      marked: this.#marked.size,
      bytes: this.#bytes,
      oldest: oldest === Infinity ? null : new Date(oldest).toISOString(),
      limits: { samples, bytes, age_s: ageMs / 1000 },
    };
  }

  /** Forgets every sample and every mark. */
  forget(): void {
    this.#unmarked.clear();
    this.#marked.clear();
    this.#bytes = 0;
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.forget();
  }

  #oldest(): number {
    let oldest = Infinity;
    for (const kept of [this.#unmarked, this.#marked]) {
      for (const { at } of kept.values()) oldest = Math.min(oldest, at);
    }
    return oldest;
  }

  #makeRoom(): void {
    const { samples, bytes } = this.#settings;
    while (this.#unmarked.size + this.#marked.size > samples || this.#bytes > bytes) {
      const from = this.#unmarked.size > 0 ? this.#unmarked : this.#marked;
      const [oldest] = from.keys();
      if (oldest === undefined) return;
      this.#drop(from, oldest);
    }
  }

  #forgetOld(): void {
    const earliest = this.#now() - this.#settings.ageMs;
    for (const kept of [this.#unmarked, this.#marked]) {
      for (const [key, { at }] of kept) if (at < earliest) this.#drop(kept, key);
    }
  }

  #drop(from: Map<string, RecordedSample>, key: string): void {
    const sample = from.get(key);
    if (sample === undefined) return;
    from.delete(key);
    this.#bytes -= sizeOf(sample);
  }
}

/** A place quotes the input: the token of a text. */
function withoutPlace({ index, score, sites }: Recording["columns"][number]): Recording["columns"][number] {
  return { index, score, sites };
}

/** No request id holds a "#". */
const keyOf = (request: string, sample: number): string => `${request}#${sample}`;

/** Bytes of a sample beside its instance: roughly, and rather too many. */
function sizeOf({ instance, columns, features, probabilities }: RecordedSample): number {
  const parts = 1 + columns.length + Object.keys(probabilities).length;
  return (
    256 * parts + 8 * features.reduce((sum, { values }) => sum + values.length, 0) + (instance?.length ?? 0)
  );
}
