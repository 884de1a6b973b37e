/** Numbers as the report writes them. */
import type { Rate } from "../training/wilson.ts";

/** "12.3 %", "–" for none. */
export function percentText(share: number | null): string {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

/** "[10.1, 14.9]" in percent; empty for none. */
export function intervalText({ low, high }: Pick<Rate, "low" | "high">): string {
  return low === null || high === null ? "" : `[${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`;
}

/** "0.123", with a true minus sign; "–" for none. */
export function numberText(value: number | null, digits = 3): string {
  return value === null ? "–" : value.toFixed(digits).replace("-", "−");
}

/** "+0.3" or "−1.2" from a difference of shares, in points. */
export function pointsText(change: number): string {
  const points = (100 * change).toFixed(1);
  return Number(points) < 0 ? points.replace("-", "−") : `+${points.replace("-", "")}`;
}

/** "p = 0.041", "p < 0.001" */
export function pText(p: number): string {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}
