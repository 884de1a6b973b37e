/** Detectors, policies and history entries in words. */
import type { ControlEntry } from "../detector/control-log.ts";
import type { Policy } from "../detector/policy.ts";

/** The first digits of an id, as metrics show it; "none" for null. */
export function shortId(id: string | null): string {
  return id === null ? "none" : id.replace(/^sha256-/, "").slice(0, 12);
}

/** A policy on one line. */
export function policyText({ mode, onError, shadow, canary, guard }: Policy): string {
  const parts = [mode, `on error ${onError}`];
  if (shadow !== null) parts.push(`shadow ${shortId(shadow)}`);
  if (canary !== null) parts.push(`canary ${shortId(canary.detector)} for ${canary.percent} %`);
  if (guard !== null) {
    const { window_s: window, max_trigger_rate: triggers, max_label_flip_rate: flips } = guard;
    const limits = [
      ...(triggers === undefined ? [] : [`${100 * triggers} % triggered`]),
      ...(flips === undefined ? [] : [`${100 * flips} % flipped`]),
    ];
    parts.push(`guard at ${limits.join(" or ")} within ${window} s`);
  }
  return parts.join(", ");
}

/** An entry on one line: when, who, what, why. */
export function entryText(entry: ControlEntry): string {
  const { sequence, at, actor, action, reason } = entry;
  return `${String(sequence).padStart(5)}  ${at}  ${actor}  ${action} ${whatText(entry)}${reason === null ? "" : `  "${reason}"`}`;
}

function whatText({ action, detector, before, after }: ControlEntry): string {
  if (action === "policy") return policyText(after.policy);
  if (action === "activated" || action === "rolled_back")
    return `${shortId(before.active)} → ${shortId(after.active)}`;
  return shortId(detector);
}
