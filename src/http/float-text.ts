/**
 * Float32 numbers as JSON text. The engine's own formatting treats them as doubles and writes 17 digits; written here are
 * the fewest of 7, 8 or 9 digits that read back, as a double rounded to float32, as the same number: half the bytes in
 * less than half the time.
 */

/** Powers of ten that a double holds exactly. */
const powers = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
/** Numbers within these bounds are written here; those beyond are rare enough for the engine. */
const [least, most] = [1e-12, 1e9] as const;
/** Most bytes of one number with its comma. */
const widest = 28;

const [zero, point, minus, comma] = [0x30, 0x2e, 0x2d, 0x2c] as const;

/** For every exponent of a float32, the decimals that leave its smallest number at least 7 digits. */
const decimalsOf = Int8Array.from({ length: 256 }, (_, exponent) => {
  const smallest = 2 ** (exponent - 127);
  return smallest >= most || smallest < least / 2 ? 0 : Math.max(0, 6 - Math.floor(Math.log10(smallest)));
});
/** 0 to 99 as two characters each. */
const pairs = Buffer.from(Array.from({ length: 100 }, (_, n) => String(n).padStart(2, "0")).join(""));

/**
 * The numbers from `start` up to `end`, separated by commas.
 * @param values finite numbers
 */
export function floatText(values: Float32Array, start: number, end: number): Uint8Array {
  const text = new Uint8Array((end - start) * widest);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let at = 0;
  for (let index = start; index < end; index += 1) {
    if (index > start) text[at++] = comma;
    const value = values[index]!;
    const size = value < 0 ? -value : value;
    if (!(size >= least && size < most)) {
      at = writePlain(text, at, value);
      continue;
    }
    if (value < 0) text[at++] = minus;
    let decimals = decimalsOf[(bits[index]! >>> 23) & 0xff]!;
    let digits = 0;
    for (let tries = 0; tries < 3; tries += 1) {
      const scale = powers[decimals]!;
      digits = (size * scale + 0.5) | 0;
      // Both are exact in a double and their quotient is rounded once, which is what a reader of the text gets.
      if (Math.fround(digits / scale) === size) break;
      decimals += 1;
    }
    while (decimals > 0) {
      const tens = (digits / 10) | 0;
      if (tens * 10 !== digits) break;
      digits = tens;
      decimals -= 1;
    }
    at = writeDigits(text, at, digits, decimals);
  }
  return text.subarray(0, at);
}

/** Zeros, and what is very large or very small. */
function writePlain(text: Uint8Array, start: number, value: number): number {
  // Readers that tell whole numbers apart have no -0 among them.
  const plain = Object.is(value, -0) ? "-0.0" : String(value);
  for (let i = 0; i < plain.length; i += 1) text[start + i] = plain.charCodeAt(i);
  return start + plain.length;
}

/** A whole number below 2^31 with a decimal point before its last `decimals` digits. */
function writeDigits(text: Uint8Array, start: number, number: number, decimals: number): number {
  let count = 1;
  while (number >= powers[count]!) count += 1;
  const width = count > decimals ? count : decimals + 1;
  let rest = number;
  // The digits first, all behind where the point will be.
  const shift = decimals > 0 ? 1 : 0;
  const end = start + width + shift;
  let at = end;
  while (at - start - shift >= 2) {
    const hundreds = (rest / 100) | 0;
    const pair = (rest - hundreds * 100) * 2;
    text[at - 1] = pairs[pair + 1]!;
    text[at - 2] = pairs[pair]!;
    rest = hundreds;
    at -= 2;
  }
  if (at - start - shift === 1) text[at - 1] = zero + rest;
  if (shift === 0) return end;
  const whole = width - decimals;
  for (let i = 0; i < whole; i += 1) text[start + i] = text[start + i + 1]!;
  text[start + whole] = point;
  return end;
}
