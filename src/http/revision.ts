/** Revisions as entity tags. */
import { AtPatchError } from "../shared/errors.ts";

/** `"7"` */
export function tagOf(revision: number): string {
  return `"${revision}"`;
}

/**
 * The revision an `If-Match` header names; quoted, weak or bare. Undefined without a header and for `*`.
 * @throws AtPatchError ATPATCH_BAD_INPUT
 */
export function revisionOf(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  const match = /^\s*(?:W\/)?(?:"(\d{1,15})"|(\d{1,15}))\s*$/.exec(header);
  if (match === null) throw new AtPatchError("ATPATCH_BAD_INPUT", "if-match: expected a revision, such as 7");
  return Number(match[1] ?? match[2]);
}
