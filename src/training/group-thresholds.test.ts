import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalOpportunityThresholds, grant, type Scored } from "./group-thresholds.ts";

const person = fc.record({
  score: fc.double({ min: 0, max: 1, noNaN: true }),
  privileged: fc.boolean(),
  deserved: fc.boolean(),
});

describe("equalOpportunityThresholds", () => {
  it("grants as many of the deserving in both groups, but for one person and ties", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(person, { maxLength: 60, selector: ({ score }) => score }),
        (people: Scored[]) => {
          const thresholds = equalOpportunityThresholds(people);
          expect(thresholds.privileged).toBe(0.5);
          const rate = (group: boolean): number => {
            const own = people.filter(({ privileged, deserved }) => deserved && privileged === group);
            return own.filter(({ score }) => grant(score, group, thresholds)).length / own.length;
          };
          const [above, below] = [rate(true), rate(false)];
          const size = people.filter(({ privileged, deserved }) => deserved && !privileged).length;
          if (Number.isFinite(above) && Number.isFinite(below))
            expect(Math.abs(above - below)).toBeLessThanOrEqual(0.5 / size + 1e-9);
        },
      ),
      {
        examples: [
          [
            [
              { score: 0, privileged: false, deserved: true },
              { score: 0.6, privileged: true, deserved: true },
            ],
          ],
          [
            [
              { score: 0.1 + 0.2, privileged: false, deserved: true },
              { score: 0.3, privileged: false, deserved: true },
              { score: 0.6, privileged: true, deserved: true },
              { score: 0.4, privileged: true, deserved: true },
            ],
          ],
        ],
      },
    );
  });

  it("changes nothing where a group has no deserving person", () => {
    expect(equalOpportunityThresholds([{ score: 0.2, privileged: true, deserved: true }])).toEqual({
      privileged: 0.5,
      unprivileged: 0.5,
    });
  });
});
