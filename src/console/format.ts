/** Numbers, times and ids as people read them. Pure. */

/** "12.3 %"; "–" for nothing. */
export function percent(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? "–" : `${(share * 100).toFixed(digits)} %`;
}

/** "1,234" up to 9,999; "12.3 k" beyond. */
export function count(value: number): string {
  if (value < 10_000) return Math.round(value).toLocaleString("en");
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} k`;
  return `${(value / 1e6).toFixed(1)} M`;
}

/** "0.4", "12" per second. */
export function perSecond(value: number): string {
  return value > 0 && value < 10 ? value.toFixed(1) : count(value);
}

/** Seconds as "3.2 ms", "1.25 s"; "–" for nothing. */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  const ms = seconds * 1000;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${seconds.toFixed(2)} s`;
}

/** "1.3 KiB" */
export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  return size < 2 ** 20 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 2 ** 20).toFixed(1)} MiB`;
}

/** The first 8 hex digits of a detector id; "none" without one. */
export function shortId(id: string | null): string {
  return id === null ? "none" : id.replace(/^sha256-/, "").slice(0, 8);
}

/** "just now", "5 min ago", "3 h ago", "2 d ago". */
export function ago(at: string | number, now: number): string {
  const seconds = Math.max(0, (now - new Date(at).getTime()) / 1000);
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** "1 sample", "3 samples" */
export function plural(number: number, one: string): string {
  return `${count(number)} ${one}${number === 1 ? "" : "s"}`;
}
