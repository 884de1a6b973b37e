/** What the study varies: one thing each, everything else chosen as `train` chooses it. */
import type { Form, SearchSpace } from "../training/search-detector.ts";
import { wholeSpace } from "../training/search-detector.ts";
import type { SampleLabels } from "../training/labels.ts";

/** One way to make a detector, or to use one. */
export interface Variant {
  readonly name: string;
  /** Failing samples that are used; all of them when absent. */
  readonly failing?: number;
  /** Changes what may be chosen. */
  readonly space?: (base: SearchSpace) => SearchSpace;
  /** Starts from the form that the default has chosen, so that nothing but the one thing changes. */
  readonly sameForm?: boolean;
  /** Labels of the columns around the anomalous ones; left out of the loss when absent. */
  readonly ring?: "negative" | "positive";
  readonly firstSiteOnly?: boolean;
  /** Only in the quick form too. */
  readonly quick?: boolean;
}

export const variants: readonly Variant[] = [
  { name: "default", quick: true },
  ...[10, 20, 50, 200].map((failing) => ({
    name: `${failing} failing samples`,
    failing,
    quick: failing === 20,
  })),
  ...(["attention", "value", "attention+value"] as const).map((features) => ({
    name: `${features} features`,
    space: (base: SearchSpace) => ({
      ...base,
      forms: base.forms.filter((form) => form.features === features),
    }),
  })),
  { name: "first site only", firstSiteOnly: true },
  { name: "one threshold", sameForm: true, space: (base) => ({ ...base, columnShares: [1] }) },
  { name: "no self-training", sameForm: true, space: (base) => ({ ...base, selfTraining: false }) },
  ...wholeSpace.references.map((reference) => ({
    name: `reference ${reference}`,
    sameForm: true,
    space: (base: SearchSpace) => ({ ...base, references: [reference] }),
  })),
  { name: "ring negative", sameForm: true, ring: "negative" },
  { name: "ring positive", sameForm: true, ring: "positive" },
];

/** The search space of a variant. @param chosen form that the default has chosen */
export function spaceOf({ space, sameForm }: Variant, chosen: Form | null): SearchSpace {
  const base = sameForm && chosen ? { ...wholeSpace, forms: [chosen] } : wholeSpace;
  return space ? space(base) : base;
}

/** Labels with the ring moved to where the variant wants it. */
export function withRing(
  labels: ReadonlyMap<number, SampleLabels>,
  ring: Variant["ring"],
): Map<number, SampleLabels> {
  return new Map(
    [...labels].map(([sample, own]) => [
      sample,
      ring === undefined
        ? own
        : {
            ...own,
            positive:
              ring === "positive" ? [...own.positive, ...own.ring].sort((a, b) => a - b) : own.positive,
            ring: new Set<number>(),
          },
    ]),
  );
}
