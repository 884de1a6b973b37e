/** Numbers that the ONNX form and the TypeScript reference of the hot-fix share. */

/** ε inside logarithms and quotients of the attention features. */
export const epsilon = 1e-6;
/** Keys within this factor of a query's largest key count as its largest: equal shares must not hang on rounding. */
export const tieFactor = 1 - 1e-5;
/** Share of the mean that is added to the standard deviation of a z-score: equal masses must not turn rounding into signal. */
export const zScoreFloor = 1e-3;
/** Standardised features are limited to ± this before they reach the network. */
export const featureLimit = 12;
/**
 * η: weight of the uniform fallback when every kept entry of a row has underflowed. It must stay far below the smallest
 * meaningful attention: with 1e-6 the mass of a flagged column leaks into the others.
 */
export const fallbackWeight = 1e-30;
/** Score given to columns that are no candidates when columns are ranked. */
export const notACandidate = -1e30;
