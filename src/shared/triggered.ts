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
  // Every column of every answer is looked at: no callbacks here.
  for (let axis = 0; axis < flags.length; axis++) {
    const { keys, firstSite } = flags[axis]!;
    const first = sample * keys;
    for (let key = 0; key < keys; key++) {
      if (firstSite[first + key]! > 0 && !(axis === 0 && forced.includes(key))) return true;
    }
  }
  return false;
}
