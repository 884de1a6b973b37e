/** What a model does with what its detectors find. */
import { Type, type Static } from "typebox";
import { Value } from "typebox/value";
import { AtPatchError } from "../shared/errors.ts";

const closed = { additionalProperties: false };
const detectorId = Type.String({ pattern: "^sha256-[0-9a-f]{64}$" });
const rate = Type.Number({ minimum: 0, maximum: 1 });

/** A share of the requests gets another detector. */
const canarySchema = Type.Object(
  { detector: detectorId, percent: Type.Number({ minimum: 0, maximum: 100 }) },
  closed,
);

/** Limits beyond which a detector is taken out by itself; `defaultMinSamples` when `min_samples` is absent. */
const guardSchema = Type.Object(
  {
    window_s: Type.Number({ minimum: 1, maximum: 86_400 }),
    /** Share of samples in which a column is flagged. */
    max_trigger_rate: Type.Optional(rate),
    /** Share of samples whose label the patch changes. */
    max_label_flip_rate: Type.Optional(rate),
    /** Samples in the window below which nothing is concluded. */
    min_samples: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  },
  closed,
);

/** Fewest samples from which the guard concludes anything: 1 of 1 is no rate. */
export const defaultMinSamples = 10;

/** The policy as a document. */
export const policySchema = Type.Object(
  {
    /** off: nothing is computed; observe: flags are reported, nothing is changed; enforce: flagged columns are repaired. */
    mode: Type.Union([Type.Literal("off"), Type.Literal("observe"), Type.Literal("enforce")]),
    /** What a request gets when detection itself fails: the unpatched answer (open) or an error (closed). */
    onError: Type.Union([Type.Literal("open"), Type.Literal("closed")]),
    /** A detector that scores what the others see and changes nothing. */
    shadow: Type.Union([Type.Null(), detectorId]),
    canary: Type.Union([Type.Null(), canarySchema]),
    guard: Type.Union([Type.Null(), guardSchema]),
  },
  closed,
);

export type Policy = Readonly<Static<typeof policySchema>>;
export type GuardLimits = Readonly<Static<typeof guardSchema>>;

export const defaultPolicy: Policy = Object.freeze({
  mode: "enforce",
  onError: "open",
  shadow: null,
  canary: null,
  guard: null,
});

const expected: Readonly<Record<keyof Policy, string>> = {
  mode: '"off", "observe" or "enforce"',
  onError: '"open" or "closed"',
  shadow: 'null or the id of a stored detector, "sha256-" and 64 hex digits',
  canary: 'null or {"detector": id of a stored detector, "percent": 0 to 100}',
  guard:
    'null or {"window_s": 1 to 86400, "max_trigger_rate": 0 to 1, "max_label_flip_rate": 0 to 1, "min_samples": from 1} ' +
    "with at least one of the two limits",
};

/**
 * The policy after a change, checked as a whole; fields that the patch does not name stay as they are. Whether the
 * detectors it names are stored is for the registry to see.
 * @throws AtPatchError ATPATCH_BAD_INPUT naming every wrong field
 */
export function applyPolicy(current: Policy, patch: unknown): Policy {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "policy: expected an object with the fields to change");
  }
  const next: unknown = { ...current, ...patch };
  const faults = faultsOf(next as object);
  if (faults.length > 0) throw new AtPatchError("ATPATCH_BAD_INPUT", faults.join("; "));
  return canonical(next as Policy);
}

/** The fields in one order, whatever order they came in: the digest of a history entry is over its text. */
function canonical({ mode, onError, shadow, canary, guard }: Policy): Policy {
  const { window_s, max_trigger_rate, max_label_flip_rate, min_samples } = guard ?? {};
  return Object.freeze({
    mode,
    onError,
    shadow,
    canary: canary && { detector: canary.detector, percent: canary.percent },
    guard: guard && {
      window_s: window_s!,
      ...(max_trigger_rate !== undefined && { max_trigger_rate }),
      ...(max_label_flip_rate !== undefined && { max_label_flip_rate }),
      ...(min_samples !== undefined && { min_samples }),
    },
  });
}

/** Detectors that a policy names, with the field that names them. */
export function detectorsOf({ shadow, canary }: Policy): { readonly id: string; readonly field: string }[] {
  return [
    ...(canary === null ? [] : [{ id: canary.detector, field: "policy.canary.detector" }]),
    ...(shadow === null ? [] : [{ id: shadow, field: "policy.shadow" }]),
  ];
}

function faultsOf(policy: object): string[] {
  return Object.entries(policy).flatMap(([name, value]) => {
    if (!Object.hasOwn(expected, name)) return [`policy.${name.slice(0, 40)}: there is no such field`];
    const field = name as keyof Policy;
    if (Value.Check(policySchema.properties[field], value) && !isLimitless(field, value)) return [];
    return [`policy.${name}: expected ${expected[field]}`];
  });
}

/** A guard that limits nothing would look like protection. */
function isLimitless(field: keyof Policy, value: unknown): boolean {
  if (field !== "guard" || value === null) return false;
  const { max_trigger_rate: triggers, max_label_flip_rate: flips } = value as GuardLimits;
  return triggers === undefined && flips === undefined;
}
