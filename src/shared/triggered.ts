/** What a detector found in the samples of a run. */

interface Flags {
  readonly flags: readonly { readonly keys: number; readonly firstSite: Int32Array }[];
  /** Columns of the first key axis that the detector forces in every sample. */
  readonly forced?: readonly number[];
}

/**
 * Whether sample `sample` of a run has a flagged column. Columns that the detector repairs in every sample do not count:
 * that is no finding about this one.
 */
export function isTriggered({ flags, forced = [] }: Flags, sample: number): boolean {
  // Every column of every answer is looked at: no callbacks here.
  for (let axis = 0; axis < flags.length; axis++) {
    const { keys, firstSite } = flags[axis]!;
    for (let at = sample * keys; at < (sample + 1) * keys; at++) {
      if (isFinding(firstSite[at]!, axis, at % keys, forced)) return true;
    }
  }
  return false;
}

/** Flagged columns of all samples by the site that flagged them first. */
export function flaggedColumns({ flags, forced = [] }: Flags): Map<number, number> {
  const flagged = new Map<number, number>();
  flags.forEach(({ keys, firstSite }, axis) => {
    firstSite.forEach((site, at) => {
      if (isFinding(site, axis, at % keys, forced)) flagged.set(site - 1, (flagged.get(site - 1) ?? 0) + 1);
    });
  });
  return flagged;
}

function isFinding(site: number, axis: number, key: number, forced: readonly number[]): boolean {
  return site > 0 && !(axis === 0 && forced.includes(key));
}
