/** A decision threshold for each group: the usual repair from outside (M. Hardt et al., NeurIPS 2016), here without chance. */

export interface GroupThresholds {
  readonly privileged: number;
  readonly unprivileged: number;
}

export interface Scored {
  /** Probability of the favourable answer. */
  readonly score: number;
  readonly privileged: boolean;
  readonly deserved: boolean;
}

/** Leaves the privileged group at 1/2 and gives the other the threshold at which as many of the deserving are granted. */
export function equalOpportunityThresholds(people: readonly Scored[]): GroupThresholds {
  const deserving = (privileged: boolean): number[] =>
    people
      .filter((person) => person.deserved && person.privileged === privileged)
      .map(({ score }) => score)
      .sort((a, b) => b - a);
  const [above, below] = [deserving(true), deserving(false)];
  if (above.length === 0 || below.length === 0) return { privileged: 0.5, unprivileged: 0.5 };
  const rate = above.filter((score) => score > 0.5).length / above.length;
  const granted = Math.round(rate * below.length);
  // Below every probability where all are granted, so that a score of 0 is granted too.
  const [last, next] = [below[granted - 1] ?? 1, below[granted] ?? -Number.EPSILON];
  // Between two neighbouring numbers lies no third: the middle may be rounded to the upper one, which would not be granted.
  const middle = (last + next) / 2;
  return { privileged: 0.5, unprivileged: middle < last ? middle : next };
}

/** The answer of a person under thresholds. */
export function grant(score: number, privileged: boolean, thresholds: GroupThresholds): boolean {
  return score > (privileged ? thresholds.privileged : thresholds.unprivileged);
}
