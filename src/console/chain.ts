/** The chain of digests through a history: whether any entry was changed, added or taken out. Pure. */
import type { HistoryEntry } from "./api-types.ts";

export type ChainState =
  | { readonly state: "verified"; readonly entries: number; readonly digest: string | null }
  | { readonly state: "broken"; readonly sequence: number }
  | { readonly state: "unchecked"; readonly why: string };

export type Digest = (text: string) => Promise<string>;

/** SHA-256 by the browser, "sha256-" + hex; null where it has none: outside HTTPS and localhost. */
export function browserDigest(): Digest | null {
  // Absent in insecure contexts, whatever the type says.
  const subtle = globalThis.crypto.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return null;
  return async (text) => {
    const hash = await subtle.digest("SHA-256", new TextEncoder().encode(text));
    return `sha256-${Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  };
}

/**
 * Follows the chain from the first entry to the last.
 * @param entries the whole history, the oldest first, with their fields in the order in which the server gave them: the
 *   digest is over their text
 */
export async function verifyChain(
  entries: readonly HistoryEntry[],
  digest: Digest | null,
): Promise<ChainState> {
  if (digest === null) {
    return {
      state: "unchecked",
      why: "this page is not on HTTPS or localhost; use atpatch history --verify",
    };
  }
  let parent: string | null = null;
  for (const [i, entry] of entries.entries()) {
    if (entry.sequence !== i || entry.parent !== parent) return { state: "broken", sequence: i };
    parent = await digest(JSON.stringify(entry));
  }
  return { state: "verified", entries: entries.length, digest: parent };
}
