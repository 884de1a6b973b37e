/**
 * Whole numbers of JSON beyond 2^53, which `JSON.parse` rounds. Node 20 does not tell the text of a number, so the text is
 * read again with such numbers as marked strings.
 */

/** In front of the digits; no caller has a reason to send a string that begins like this. */
const mark = "\u0000integer:";

/** Strings, to be stepped over, and whole numbers of 16 digits and more. */
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\w.+-])-?\d{16,}(?![\d.eE])/g;

/**
 * The document with every long whole number marked.
 * @param text JSON that was parsed before
 */
export function parseExactly(text: string): unknown {
  return JSON.parse(
    text.replace(tokens, (token) => (token.startsWith('"') ? token : JSON.stringify(mark + token))),
  );
}

/**
 * A value of {@link parseExactly}: the number of a marked string, exactly, or infinity when it has more than 64 bits;
 * any other value as it is.
 */
export function exactInteger(value: unknown): unknown {
  if (typeof value !== "string" || !value.startsWith(mark)) return value;
  const digits = value.slice(mark.length);
  if (!/^-?\d+$/.test(digits)) return value;
  return digits.length <= 20 ? BigInt(digits) : Infinity;
}
