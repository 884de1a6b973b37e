/** How far answers are from the truth of a fixture, and how far they may be. */

/** Largest absolute difference, and that or its share of the largest expected number, whichever is smaller. */
export function distance(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { absolute: number; either: number } {
  if (actual.length !== expected.length) return { absolute: Infinity, either: Infinity };
  let [absolute, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [actual[i] as number, expected[i] as number];
    if (Number.isFinite(y)) largest = Math.max(largest, Math.abs(y));
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    absolute = Math.max(absolute, Number.isNaN(x) || Number.isNaN(y) ? Infinity : Math.abs(x - y));
  }
  return { absolute, either: largest === 0 ? absolute : Math.min(absolute, absolute / largest) };
}

/** Half precision and 8-bit products round differently in another graph. */
export function toleranceOf(name: string): number {
  return /fp16|int8|qdq|qoperator|qattention|bf16/.test(name) ? 2e-2 : 1e-4;
}
