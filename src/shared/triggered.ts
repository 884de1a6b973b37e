/** Whether a detector found something in a sample. */

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
  return flags.some(({ keys, firstSite }, axis) => {
    const own = firstSite.subarray(sample * keys, (sample + 1) * keys);
    return own.some((site, column) => site > 0 && !(axis === 0 && forced.includes(column)));
  });
}
