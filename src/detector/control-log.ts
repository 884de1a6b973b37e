/** The control log: who changed what of a model's detectors, as a chain of digests. It is the only record of what is active. */
import { Type } from "typebox";
import { Value } from "typebox/value";
import { sha256 } from "../shared/digest.ts";
import { AtPatchError } from "../shared/errors.ts";
import { policySchema, type Policy } from "./policy.ts";

/** Everything about a model that is changed at run time. */
export interface ControlState {
  /** Detector that requests get, or null for none. */
  readonly active: string | null;
  /** Detector that was active before, or null; the target of a rollback. */
  readonly previous: string | null;
  readonly policy: Policy;
}

export const controlActions = ["uploaded", "activated", "rolled_back", "policy", "removed"] as const;
export type ControlAction = (typeof controlActions)[number];

/** One change. Uploads and removals are recorded too; they change the revision only when they change the state. */
export interface ControlEntry {
  /** Position in the log, from 0. */
  readonly sequence: number;
  /** Revision of the state after the entry. */
  readonly revision: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Token name, or "shipped" for what came with the model. */
  readonly actor: string;
  readonly action: ControlAction;
  /** The detector the action is about, or null. */
  readonly detector: string | null;
  readonly reason: string | null;
  readonly before: ControlState;
  readonly after: ControlState;
  /** Digest of the entry before, or null for the first: "sha256-" + 64 hex digits over its line without the line end. */
  readonly parent: string | null;
}

/** What the author of an entry knows; the log adds the rest. */
export type ControlDraft = Omit<ControlEntry, "sequence" | "parent">;

/** Where a log ends: what the next entry has to continue. */
export interface ChainEnd {
  /** Number of entries. */
  readonly length: number;
  readonly digest: string | null;
}

export const emptyChain: ChainEnd = Object.freeze({ length: 0, digest: null });

const id = Type.Union([Type.Null(), Type.String({ pattern: "^sha256-[0-9a-f]{64}$" })]);
const state = Type.Object({ active: id, previous: id, policy: policySchema });
const entrySchema = Type.Object({
  sequence: Type.Integer({ minimum: 0 }),
  revision: Type.Integer({ minimum: 0 }),
  at: Type.String(),
  actor: Type.String(),
  action: Type.Enum([...controlActions]),
  detector: id,
  reason: Type.Union([Type.Null(), Type.String()]),
  before: state,
  after: state,
  parent: id,
});

/** Completes a draft into the entry that continues the chain, with its line (no line end) and the new end. */
export function continueChain(
  end: ChainEnd,
  draft: ControlDraft,
): { entry: ControlEntry; line: string; end: ChainEnd } {
  const entry: ControlEntry = { sequence: end.length, ...draft, parent: end.digest };
  const line = JSON.stringify(entry);
  return { entry, line, end: { length: end.length + 1, digest: lineDigest(line) } };
}

/**
 * Reads the line that continues the chain.
 * @throws AtPatchError ATPATCH_INTERNAL when it is no entry or does not continue the chain
 */
export function readChain(end: ChainEnd, line: string): { entry: ControlEntry; end: ChainEnd } {
  const entry = decodeEntry(line, end.length);
  checkContinues(end, entry);
  return { entry, end: { length: end.length + 1, digest: lineDigest(line) } };
}

/**
 * The end of the chain after an entry that came without its line: the line is the entry written as {@link continueChain}
 * does, so the fields must be in the order of the log.
 * @throws AtPatchError ATPATCH_INTERNAL when it does not continue the chain
 */
export function continuesFrom(end: ChainEnd, entry: ControlEntry): ChainEnd {
  checkContinues(end, entry);
  return { length: end.length + 1, digest: lineDigest(JSON.stringify(entry)) };
}

function checkContinues(end: ChainEnd, { sequence, parent }: ControlEntry): void {
  if (sequence === end.length && parent === end.digest) return;
  throw new AtPatchError(
    "ATPATCH_INTERNAL",
    `control log, entry ${end.length}: it does not continue the entry before; the log was changed`,
  );
}

/**
 * Reads an entry whose place in the chain was checked before.
 * @throws AtPatchError ATPATCH_INTERNAL
 */
export function decodeEntry(line: string, sequence: number): ControlEntry {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch (cause) {
    throw new AtPatchError("ATPATCH_INTERNAL", `control log, entry ${sequence}: this is no JSON`, { cause });
  }
  if (Value.Check(entrySchema, entry)) return entry;
  throw new AtPatchError("ATPATCH_INTERNAL", `control log, entry ${sequence}: fields are missing or wrong`);
}

function lineDigest(line: string): string {
  return `sha256-${sha256(line)}`;
}
