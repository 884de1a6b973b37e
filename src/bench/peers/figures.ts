/** What a server did over the rounds. */
import type { LoadResult } from "../load-generator.ts";

export interface Figures {
  readonly name: string;
  /** Requests answered a second, by round. */
  readonly perSecond: number[];
  /** Processor time of the server in ms for each request answered, by round; NaN where it is not known. */
  readonly timeMs: number[];
  /** Latencies in ms of all rounds. */
  readonly latencies: number[];
  /** How often each other outcome was seen. */
  readonly errors: Map<string, number>;
}

export function newFigures(name: string): Figures {
  return { name, perSecond: [], timeMs: [], latencies: [], errors: new Map() };
}

/**
 * @param good outcome of a request that was answered
 * @param timeMs processor time that the server used meanwhile
 */
export function addRound(
  figures: Figures,
  { seconds, outcomes }: LoadResult,
  good: string,
  timeMs: number,
): void {
  const answered = outcomes[good] ?? [];
  figures.timeMs.push(timeMs / answered.length);
  figures.perSecond.push(answered.length / seconds);
  for (const ms of answered) figures.latencies.push(ms);
  for (const [outcome, { length }] of Object.entries(outcomes)) {
    if (outcome !== good) figures.errors.set(outcome, (figures.errors.get(outcome) ?? 0) + length);
  }
}
