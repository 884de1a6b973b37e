/** The trace of a request: one span for the whole, one for each part. The services write it and know nothing of its format. */
import type { Stage } from "./observer.ts";

export type TracedPart = Stage | "recheck";

/** What a request notes while it is worked on. */
export interface RequestTrace {
  /**
   * A part that is over.
   * @param milliseconds how long it took
   * @param agoMs how long ago it ended; just now when absent
   */
  part(name: TracedPart, milliseconds: number, agoMs?: number): void;
}

/** How a request ended. */
export interface TraceEnd {
  /** The call: method and route template, never what a client sent. */
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly failed: boolean;
}

export interface ServerTrace extends RequestTrace {
  /** The span of the request as a `traceparent` header (W3C Trace Context). */
  readonly traceparent: string;
  end(end: TraceEnd): void;
}

/** Where traces go. */
export interface Tracing {
  /** Begins the span of a request, below the caller's own where its headers name one. */
  begin(headers: Readonly<Record<string, string | string[] | undefined>>, startedAt: number): ServerTrace;
  /** Delivers what is left. */
  close(): Promise<void>;
}
