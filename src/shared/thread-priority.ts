/** How threads that compute share the cores with the thread that answers. */
import { getPriority, setPriority } from "node:os";

/** Most steps that a thread can stand back. */
const lowest = 19;

/**
 * Lets the calling thread, and those it starts, stand back by `steps` of niceness. The event loop then gets a core soon
 * after it has something to do, also while inference keeps every core busy; total throughput stays as it is. On Linux
 * alone: elsewhere a process has one priority for all its threads.
 */
export function standBack(steps: number): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, Math.min(lowest, getPriority(0) + steps));
  } catch {
    // A sandbox may forbid the call; nothing but promptness at full load depends on it.
  }
}
