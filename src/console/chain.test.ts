import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { continueChain, emptyChain } from "../detector/control-log.ts";
import { defaultPolicy } from "../detector/policy.ts";
import type { HistoryEntry } from "./api-types.ts";
import { browserDigest, verifyChain } from "./chain.ts";

/** A history as the server writes it. */
function history(length: number): HistoryEntry[] {
  const state = { active: null, previous: null, policy: defaultPolicy };
  let end = emptyChain;
  return Array.from({ length }, (_, i) => {
    const at = new Date(i).toISOString();
    const draft = { revision: i, at, actor: "ann", action: "policy", detector: null, reason: null } as const;
    const next = continueChain(end, { ...draft, before: state, after: state });
    end = next.end;
    return JSON.parse(next.line) as HistoryEntry;
  });
}

describe("the chain of a history", () => {
  it("is verified with the browser's own digest, which is the server's", async () => {
    const entries = history(4);
    const last = `sha256-${createHash("sha256")
      .update(JSON.stringify(entries.at(-1)))
      .digest("hex")}`;
    expect(await verifyChain(entries, browserDigest())).toEqual({
      state: "verified",
      entries: 4,
      digest: last,
    });
    expect(await verifyChain([], browserDigest())).toEqual({ state: "verified", entries: 0, digest: null });
  });

  it("breaks where an entry was changed, taken out or exchanged", async () => {
    const [a, b, c, d] = history(4) as [HistoryEntry, HistoryEntry, HistoryEntry, HistoryEntry];
    const broken = async (...entries: HistoryEntry[]) => verifyChain(entries, browserDigest());
    expect(await broken(a, { ...b, actor: "eve" }, c, d)).toEqual({ state: "broken", sequence: 2 });
    expect(await broken(a, c, d)).toEqual({ state: "broken", sequence: 1 });
    expect(await broken(b, c, d)).toEqual({ state: "broken", sequence: 0 });
    expect(await broken(a, b, d, c)).toEqual({ state: "broken", sequence: 2 });
  });

  it("is not called verified where the browser has no digest", async () => {
    expect(await verifyChain(history(1), null)).toMatchObject({ state: "unchecked" });
  });
});
