/** Whether two classifiers that answered the same samples differ by more than chance. */

/** Samples that only one of the two answered rightly, and how likely such a difference is by chance. */
export interface McNemar {
  readonly only_unpatched: number;
  readonly only_patched: number;
  /** Two-sided p-value of the exact binomial test. */
  readonly p: number;
}

/**
 * McNemar's exact test (Q. McNemar, Psychometrika 12, 1947, in its binomial form): under the null hypothesis each
 * discordant sample falls to either side with probability 1/2.
 */
export function mcnemar(onlyUnpatched: number, onlyPatched: number): McNemar {
  const n = onlyUnpatched + onlyPatched;
  const fewer = Math.min(onlyUnpatched, onlyPatched);
  // Terms of the binomial distribution by their logarithms: n may be large.
  let log = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= fewer; k++) {
    tail += Math.exp(log);
    log += Math.log((n - k) / (k + 1));
  }
  return { only_unpatched: onlyUnpatched, only_patched: onlyPatched, p: Math.min(1, 2 * tail) };
}
