import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { referenceFlags } from "../hotfix/reference/detect.ts";
import { maxFlaggedShare } from "./detector-tensors.ts";
import { flaggedAt } from "./flags.ts";

const rarely = fc.nat(5).map((value) => value === 0);
const logit = fc.integer({ min: -6, max: 6 }).map((value) => value / 2);

describe("flaggedAt", () => {
  it("flags what the op flags: gate, column threshold, first key, hidden keys, k_max, ties", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(logit, fc.boolean(), rarely), { minLength: 1, maxLength: 12 }),
        logit,
        logit,
        fc.nat(2),
        (keys, a, b, firstKey) => {
          const [gate, column] = [Math.max(a, b), Math.min(a, b)];
          const visible = keys.map(([, seen]) => seen);
          const expected = referenceFlags(
            keys.map(([score]) => score),
            visible,
            keys.map(([, , earlier]) => earlier),
            { gate, column, firstKey, maxFlaggedShare } as Parameters<typeof referenceFlags>[3],
          );
          const found = flaggedAt(
            Float64Array.from(keys, ([score]) => score),
            { keys: keys.length, visible: Uint8Array.from(visible, Number), features: new Float32Array() },
            { gate, column },
            firstKey,
            new Set(keys.flatMap(([, , earlier], key) => (earlier ? [key] : []))),
          );
          expect(found).toEqual(expected.flatMap((flagged, key) => (flagged ? [key] : [])));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
