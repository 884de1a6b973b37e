/** What happens in the server, told to whoever listens: one sequence of events for every part of it. */
import { messageOf } from "../shared/errors.ts";

/** One event. */
export interface ServerEvent {
  /**
   * Grows with every kept event, also across restarts: microseconds since 1970 when it was published, or one more than
   * the id before. Null for an event that is not kept.
   */
  readonly id: number | null;
  /** What happened: `activated`, `policy`, `guard`, `trigger_rate`, … */
  readonly name: string;
  /** A JSON object; it names the model it is about as `model`. */
  readonly data: Readonly<Record<string, unknown>>;
}

export interface PublishOptions {
  /** Whether somebody who was away gets the event when he comes back; default true. Figures of the moment are not kept. */
  readonly keep?: boolean;
  /** When it happened; now when absent. */
  readonly at?: Date;
}

export interface Subscription {
  /** Kept events after the id asked for, the oldest first. */
  readonly missed: readonly ServerEvent[];
  /** False when some that were asked for are kept no longer. */
  readonly complete: boolean;
  readonly stop: () => void;
}

/** Every part publishes here, in the order in which things became visible; the newest events are kept for a while. */
export class EventBus {
  readonly #capacity: number;
  readonly #warn: (message: string) => void;
  readonly #kept: ServerEvent[] = [];
  readonly #listeners = new Set<(event: ServerEvent) => void>();
  readonly #sources: { readonly start: () => () => void; stop: (() => void) | null }[] = [];
  #lastId = 0;
  /** Id of the newest event that is kept no longer, or of the moment before the first. */
  #forgotten = 0;

  /**
   * @param capacity kept events
   * @param warn told about a listener that threw
   */
  constructor(capacity = 1024, warn: (message: string) => void = () => {}) {
    this.#capacity = capacity;
    this.#warn = warn;
  }

  /** Tells every listener; none of them can keep the others or the publisher from going on. */
  publish(
    name: string,
    data: ServerEvent["data"],
    { keep = true, at = new Date() }: PublishOptions = {},
  ): ServerEvent {
    const event: ServerEvent = { id: keep ? this.#nextId(at) : null, name, data };
    if (keep) this.#kept.push(event);
    while (this.#kept.length > this.#capacity) this.#forgotten = this.#kept.shift()?.id ?? this.#forgotten;
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#warn(`a listener to the event ${name} failed: ${messageOf(error)}`);
      }
    }
    return event;
  }

  /**
   * Tells `listener` about every event from now on.
   * @param after id of the last event seen before, for those missed since; nothing is missed when absent
   */
  subscribe(listener: (event: ServerEvent) => void, after?: number): Subscription {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) for (const source of this.#sources) source.stop = source.start();
    return {
      missed: after === undefined ? [] : this.#kept.filter(({ id }) => id !== null && id > after),
      complete: after === undefined || after >= this.#forgotten,
      stop: () => {
        if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
        this.#silence();
      },
    };
  }

  /** Runs a source of events only while somebody listens: `start` begins it and returns how to end it. */
  whileHeard(start: () => () => void): void {
    this.#sources.push({ start, stop: this.#listeners.size > 0 ? start() : null });
  }

  /** Says that events before this moment are not known here, so that nobody takes the list for complete. */
  forgetBefore(moment: Date): void {
    this.#forgotten = Math.max(this.#forgotten, moment.getTime() * 1000);
  }

  /** Ends every source. */
  close(): void {
    this.#listeners.clear();
    this.#silence();
  }

  #silence(): void {
    for (const source of this.#sources) {
      source.stop?.();
      source.stop = null;
    }
  }

  #nextId(at: Date): number {
    this.#lastId = Math.max(this.#lastId + 1, at.getTime() * 1000);
    return this.#lastId;
  }
}
