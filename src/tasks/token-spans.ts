/**
 * Where each token stands in the text it was cut from. The tokenizer library does not tell, so tokens are laid along the
 * text again: both are brought to one form (normalised characters, or bytes for byte-level vocabularies) and matched from
 * left to right. What cannot be matched, an unknown word, gets the stretch between its neighbours.
 */

/** Code points [start, end) of the text. */
export type Span = readonly [start: number, end: number];

/** How the tokens of a vocabulary are written. */
export interface TokenForm {
  /** Normalises a piece of text as the tokenizer does; null when it does not. */
  readonly normalize: ((text: string) => string) | null;
  /** Tokens stand for bytes, each written as one printable character. */
  readonly byteLevel: boolean;
  /** Marks a token that goes on with a word, e.g. "##". */
  readonly continuation: string;
  /** Marks a token that ends a word, e.g. "</w>". */
  readonly wordEnd: string;
  /** Token for words that are not in the vocabulary. */
  readonly unknown: string | null;
  /** An unknown token stands for a whole word (WordPiece), not for a character. */
  readonly unknownIsWord: boolean;
}

/** A text in the form tokens are matched in: every character of `text` came from code point `origin[i]`. */
interface Source {
  readonly text: string;
  readonly origin: readonly number[];
  /** Code points that are white space. */
  readonly blank: ReadonlySet<number>;
}

const utf8 = new TextEncoder();
const spaces = /[\s\u2581]*/uy;
/** A word as BERT's pre-tokenizer cuts it: letters and digits, or a single sign. */
const word = /[^\s\p{P}$+<=>^`|~]+|\S/uy;

/** Bytes by the characters of byte-level vocabularies: printable Latin-1 is itself, the rest follows from U+0100. */
const byteOf: ReadonlyMap<string, string> = byteAlphabet();

function byteAlphabet(): Map<string, string> {
  const bytes = new Map<string, string>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    bytes.set(String.fromCharCode(printable ? byte : next++), String.fromCharCode(byte));
  }
  return bytes;
}

/** Spans of `tokens`, in order; null for a token that stands for nothing in the text. */
export function tokenSpans(text: string, tokens: readonly string[], form: TokenForm): (Span | null)[] {
  const source = sourceOf(text, form);
  const spans: (Span | null)[] = [];
  const unmatched: number[] = [];
  let position = 0;

  /** Places the tokens that matched nothing: one on each character up to `end` if that comes out even, else all on all. */
  const settle = (end: number): number => {
    if (unmatched.length === 0) return end;
    const characters = [...new Set(source.origin.slice(position, end))].filter((at) => !source.blank.has(at));
    const [first, last] = [characters[0], characters.at(-1)];
    const gap: Span | null = first === undefined || last === undefined ? null : [first, last + 1];
    const even = characters.length === unmatched.length;
    for (const [i, index] of unmatched.splice(0).entries()) {
      spans[index] = even ? [characters[i]!, characters[i]! + 1] : gap;
    }
    return end;
  };
  for (const [index, token] of tokens.entries()) {
    const surface = surfaceOf(token, form);
    const from = skip(source.text, position);
    if (token === form.unknown && form.unknownIsWord && unmatched.length === 0) {
      word.lastIndex = from;
      const end = from + (word.exec(source.text)?.[0].length ?? 0);
      spans.push(end > from ? spanOf(source, from, end) : null);
      position = end;
      continue;
    }
    const near = unmatched.length === 0;
    const found = surface === "" || token === form.unknown ? -1 : find(source.text, surface, from, near);
    if (found < 0) {
      spans.push(null);
      if (surface !== "" || token === form.unknown) unmatched.push(index);
      else if (unmatched.length > 0) position = settle(nextSpace(source.text, from));
      continue;
    }
    settle(found);
    spans.push(spanOf(source, found, found + surface.length));
    position = found + surface.length;
  }
  settle(source.text.length);
  return spans;
}

/** Where `surface` is: at `from` itself when the token before it was matched, somewhere behind it otherwise. */
function find(text: string, surface: string, from: number, near: boolean): number {
  if (text.startsWith(surface, from)) return from;
  return near ? -1 : text.indexOf(surface, from);
}

function sourceOf(text: string, form: TokenForm): Source {
  // Normalisers that put a mark in front of the text would put it in front of every character.
  const lead = form.normalize?.("a").startsWith("\u2581") ? 1 : 0;
  const cache = new Map<string, string>();
  const normalized = (character: string): string => {
    let known = cache.get(character);
    if (known === undefined) {
      known = form.normalize ? form.normalize(character).slice(lead) : character;
      if (form.byteLevel) known = String.fromCharCode(...utf8.encode(known));
      cache.set(character, known);
    }
    return known;
  };
  const origin: number[] = [];
  let whole = "";
  const blank = new Set<number>();
  let index = 0;
  for (const character of text) {
    if (character.trim() === "") blank.add(index);
    const piece = normalized(character);
    whole += piece;
    for (let i = 0; i < piece.length; i++) origin.push(index);
    index++;
  }
  return { text: whole, origin, blank };
}

/** A token as it stands in the text, without the marks of its vocabulary and without outer spaces. */
function surfaceOf(token: string, form: TokenForm): string {
  let surface = token;
  if (form.continuation !== "" && surface.startsWith(form.continuation)) {
    surface = surface.slice(form.continuation.length);
  }
  if (form.wordEnd !== "" && surface.endsWith(form.wordEnd)) surface = surface.slice(0, -form.wordEnd.length);
  if (form.byteLevel) {
    // Trimming by Unicode would take the byte A0 for a space.
    return [...surface]
      .map((character) => byteOf.get(character) ?? character)
      .join("")
      .replace(/^[ \t\n\r]+|[ \t\n\r]+$/g, "");
  }
  return surface.replaceAll("\u2581", " ").trim();
}

function skip(text: string, position: number): number {
  spaces.lastIndex = position;
  return position + (spaces.exec(text)?.[0].length ?? 0);
}

/** Where the next white space begins: a token that is nothing but space ends the unknown stretch before it. */
function nextSpace(text: string, from: number): number {
  const length = text.slice(from).search(/[\s\u2581]/u);
  return length < 0 ? text.length : from + length;
}

function spanOf(source: Source, from: number, to: number): Span {
  const start = source.origin[from] ?? 0;
  return [start, (source.origin[to - 1] ?? start) + 1];
}
