/** A model file as the parts hand it on. */
export interface ModelFile {
  /** The file; its large constants may be external references into itself already. */
  readonly bytes: Uint8Array;
  /** Its name inside the model folder: large weights of the patched graph refer to it. */
  readonly name: string;
  /** Samples of the constants that `bytes` leaves out, in file order. */
  readonly weightSample?: readonly Uint8Array[];
}

/** Places sampled in each large constant, and bytes taken at each. */
const sample = { places: 16, bytes: 64 } as const;

/** A sample of a constant of `length` bytes (at least 64), evenly over its whole length. */
export function sampleBytes(
  length: number,
  read: (offset: number, length: number) => Uint8Array,
): Uint8Array[] {
  const step = (length - sample.bytes) / (sample.places - 1);
  return Array.from({ length: sample.places }, (_, place) =>
    read(Math.floor(place * step), sample.bytes).slice(),
  );
}
