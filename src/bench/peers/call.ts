/** A question in the form of one server: asked once to see the answer, and over and over under load. */
import type { LoadResult } from "../load-generator.ts";

export interface Call {
  /** @returns the scores @throws Error unless there is an answer that can be read */
  once(): Promise<readonly number[]>;
  /** Asks for so many seconds, each connection again when it has its answer. */
  load(connections: number, seconds: number): Promise<LoadResult>;
  /** Outcome of a request that was answered. */
  readonly good: string;
  end(): Promise<void>;
}
