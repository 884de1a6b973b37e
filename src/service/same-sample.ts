/** Compares one sample of two runs of the same batch. */
import type { RunResult } from "../engine/engine.ts";
import type { TypedArray } from "../shared/tensor.ts";

/** Whether every output of the sample is the same, bit for bit. */
export function sameSample(a: RunResult, b: RunResult, sample: number, batch: number): boolean {
  return Object.entries(a.outputs).every(([name, { data }]) => {
    const size = data.length / batch;
    const part = (of: TypedArray): Uint8Array => {
      const bytes = size * of.BYTES_PER_ELEMENT;
      return new Uint8Array(of.buffer, of.byteOffset + sample * bytes, bytes);
    };
    return Buffer.compare(part(data), part(b.outputs[name]!.data)) === 0;
  });
}

/** Whether any column of the sample was flagged, be it found or forced: only then may its outputs differ. */
export function isTouched({ flags }: RunResult, sample: number): boolean {
  return flags.some(({ keys, firstSite }) =>
    firstSite.subarray(sample * keys, (sample + 1) * keys).some((site) => site > 0),
  );
}
