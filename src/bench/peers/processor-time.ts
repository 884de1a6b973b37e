/** Processor time of process groups, from Linux's `/proc`. */
import { readdirSync, readFileSync } from "node:fs";

/** Length of a tick of `/proc/<pid>/stat` in ms: 100 a second on every architecture that Node runs on. */
const tickMs = 10;

/** User and system time in ms that the living processes of the group have used; NaN where there is no `/proc`. */
export function groupTimeMs(group: number): number {
  if (process.platform !== "linux") return NaN;
  let ticks = 0;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statOf(entry);
    if (Number(fields[2]) === group) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * tickMs;
}

/** Fields from the state on: what comes before it is a name, which may hold spaces. Empty for who has ended meanwhile. */
function statOf(pid: string): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
