/** Ways to break bytes, for property tests of what reads them. */
import fc from "fast-check";

/** Changes some bytes, and cuts the end off or puts more there. */
export function mutilation(length: number): fc.Arbitrary<(bytes: Uint8Array) => Buffer> {
  const edits = fc.array(fc.tuple(fc.nat(length - 1), fc.nat(255)), { maxLength: 4 });
  const rest = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: -length, max: 8 }));
  return fc.tuple(edits, rest).map(([changes, more]) => (bytes) => {
    const broken = Buffer.concat([bytes, Buffer.alloc(Math.max(more, 0))]);
    for (const [at, value] of changes) broken[at] = value;
    return broken.subarray(0, bytes.length + more);
  });
}
