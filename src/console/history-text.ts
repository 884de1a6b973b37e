/** A change in a few words. Pure. */
import type { HistoryEntry, Policy } from "./api-types.ts";
import { percent, shortId } from "./format.ts";

export function changedText({ action, detector, before, after }: HistoryEntry): string {
  switch (action) {
    case "uploaded":
      return `uploaded ${shortId(detector)}`;
    case "removed":
      return `removed ${shortId(detector)}`;
    case "activated":
      return detector === null ? `took ${shortId(before.active)} out` : `activated ${shortId(detector)}`;
    case "rolled_back":
      return `rolled back from ${shortId(before.active)} to ${shortId(after.active)}`;
    case "policy":
      return policyText(before.policy, after.policy);
    default:
      return action;
  }
}

function policyText(before: Policy, after: Policy): string {
  const parts: string[] = [];
  if (before.mode !== after.mode) parts.push(`mode ${before.mode} → ${after.mode}`);
  if (before.onError !== after.onError) parts.push(`on error ${after.onError}`);
  if (before.shadow !== after.shadow)
    parts.push(after.shadow === null ? "shadow stopped" : `shadow ${shortId(after.shadow)}`);
  if (JSON.stringify(before.canary) !== JSON.stringify(after.canary)) {
    const { canary } = after;
    parts.push(
      canary === null ? "canary ended" : `canary ${shortId(canary.detector)} at ${canary.percent} %`,
    );
  }
  if (JSON.stringify(before.guard) !== JSON.stringify(after.guard)) {
    const { guard } = after;
    const limit = guard?.max_trigger_rate ?? guard?.max_label_flip_rate;
    parts.push(guard === null ? "guard taken away" : `guard at ${percent(limit, 0)} in ${guard.window_s} s`);
  }
  return parts.join(", ") || "policy";
}
