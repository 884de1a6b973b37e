/** How long the parts of an answer took, in milliseconds. */
export interface Timings {
  readonly queueMs: number;
  readonly inferMs: number;
}

/** Starts a watch; calling the result tells the milliseconds since then. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => performance.now() - start;
}
