/** What a model does with what its detector finds. */
import { Type, type Static } from "typebox";
import { Value } from "typebox/value";
import { AtPatchError } from "../shared/errors.ts";

/** The policy as a document; `shadow`, `canary` and `guard` are reserved and must be null. */
export const policySchema = Type.Object(
  {
    /** off: nothing is computed; observe: flags are reported, nothing is changed; enforce: flagged columns are repaired. */
    mode: Type.Union([Type.Literal("off"), Type.Literal("observe"), Type.Literal("enforce")]),
    /** What a request gets when detection itself fails: the unpatched answer (open) or an error (closed). */
    onError: Type.Union([Type.Literal("open"), Type.Literal("closed")]),
    shadow: Type.Null(),
    canary: Type.Null(),
    guard: Type.Null(),
  },
  { additionalProperties: false },
);

export type Policy = Readonly<Static<typeof policySchema>>;

export const defaultPolicy: Policy = Object.freeze({
  mode: "enforce",
  onError: "open",
  shadow: null,
  canary: null,
  guard: null,
});

/**
 * The policy after a change, checked as a whole; fields that the patch does not name stay as they are.
 * @throws AtPatchError ATPATCH_BAD_INPUT naming every wrong field
 */
export function applyPolicy(current: Policy, patch: unknown): Policy {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "policy: expected an object with the fields to change");
  }
  const next: unknown = { ...current, ...patch };
  if (Value.Check(policySchema, next)) return Object.freeze(next);
  throw new AtPatchError("ATPATCH_BAD_INPUT", faultsOf(next).join("; "));
}

function faultsOf(policy: unknown): string[] {
  const expected: Record<string, string> = {
    mode: '"off", "observe" or "enforce"',
    onError: '"open" or "closed"',
    shadow: "null",
    canary: "null",
    guard: "null",
  };
  return Object.entries(policy as object).flatMap(([name, value]) => {
    const schema = Object.hasOwn(expected, name) ? policySchema.properties[name as keyof Policy] : undefined;
    if (!schema) return [`policy.${name}: there is no such field`];
    return Value.Check(schema, value) ? [] : [`policy.${name}: expected ${expected[name]}`];
  });
}
