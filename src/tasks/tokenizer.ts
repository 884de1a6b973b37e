/** `tokenizer.json`, as it is: texts into token ids with special tokens, truncation and places. */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { AtPatchError, messageOf } from "../shared/errors.ts";
import { isJsonObject, type JsonObject } from "./folder-files.ts";
import { tokenSpans, type Span, type TokenForm } from "./token-spans.ts";

/** What is used of the library; its own declarations do not resolve under this module resolution. */
interface Tokenizer {
  readonly normalizer: ((text: string) => string) | null;
  encode(
    text: string,
    options: { add_special_tokens: boolean; return_token_type_ids: true },
  ): { ids: number[]; tokens: string[]; token_type_ids: number[] };
  token_to_id(token: string): number | undefined;
}
const HuggingFaceTokenizer = LibraryTokenizer as unknown as new (
  json: JsonObject,
  config: JsonObject,
) => Tokenizer;

/** A text in tokens, special tokens included. */
export interface EncodedText {
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly typeIds: readonly number[];
  /** Place of each token in the text; null for special tokens. */
  readonly spans: readonly (Span | null)[];
}

export interface TextTokenizer {
  /** Special tokens in front of every text. */
  readonly leading: number;
  readonly padId: number;
  readonly padSide: "left" | "right";
  /** Tokens that fit the model according to the tokenizer's own files, or null. */
  readonly maxLength: number | null;
  /** @param maxLength the text's own tokens are cut so that all of them, special ones included, are at most so many */
  encode(text: string, maxLength: number): EncodedText;
}

/** What the library writes for one text. */
interface Frame {
  readonly prefix: Piece;
  readonly suffix: Piece;
}
interface Piece {
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly typeIds: readonly number[];
}

/** Lengths above this are "no limit" in Hugging Face files. */
const noLimit = 1_000_000;

/**
 * Makes a tokenizer from the content of `tokenizer.json` and `tokenizer_config.json`.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the files are not understood
 */
export function createTokenizer(json: JsonObject, config: JsonObject): TextTokenizer {
  let tokenizer: Tokenizer;
  let frame: Frame;
  try {
    tokenizer = new HuggingFaceTokenizer(json, config);
    frame = frameOf(tokenizer);
  } catch (error) {
    throw new AtPatchError("ATPATCH_BAD_MODEL", `tokenizer.json: ${messageOf(error)}`, { cause: error });
  }
  const form = formOf(json, tokenizer);
  const cutLeft = (config.truncation_side ?? lower(object(json.truncation).direction)) === "left";
  const special = frame.prefix.ids.length + frame.suffix.ids.length;
  return {
    leading: frame.prefix.ids.length,
    padId: padIdOf(tokenizer, json, config),
    padSide: (config.padding_side ?? lower(object(json.padding).direction)) === "left" ? "left" : "right",
    maxLength: maxLengthOf(json, config),
    encode: (text, maxLength) => {
      const content = pieceOf(tokenizer, text, false);
      const spans = tokenSpans(text, content.tokens, form);
      const keep = Math.max(0, maxLength - special);
      const cut = <T>(list: readonly T[]): readonly T[] =>
        cutLeft && list.length > keep ? list.slice(list.length - keep) : list.slice(0, keep);
      const join = <T>(key: (piece: Piece) => readonly T[]): T[] => [
        ...key(frame.prefix),
        ...cut(key(content)),
        ...key(frame.suffix),
      ];
      return {
        ids: join((piece) => piece.ids),
        tokens: join((piece) => piece.tokens),
        typeIds: join((piece) => piece.typeIds),
        spans: [...frame.prefix.ids.map(() => null), ...cut(spans), ...frame.suffix.ids.map(() => null)],
      };
    },
  };
}

function pieceOf(tokenizer: Tokenizer, text: string, special: boolean): Piece {
  const {
    ids,
    tokens,
    token_type_ids: typeIds,
  } = tokenizer.encode(text, {
    add_special_tokens: special,
    return_token_type_ids: true,
  });
  return { ids, tokens, typeIds };
}

/** The special tokens around a text, seen by encoding one with and without them. */
function frameOf(tokenizer: Tokenizer): Frame {
  const sample = "a";
  const whole = pieceOf(tokenizer, sample, true);
  const content = pieceOf(tokenizer, sample, false).ids;
  const extra = whole.ids.length - content.length;
  for (let at = 0; at <= extra; at++) {
    if (content.every((id, i) => whole.ids[at + i] === id)) {
      const part = (from: number, to: number): Piece => ({
        ids: whole.ids.slice(from, to),
        tokens: whole.tokens.slice(from, to),
        typeIds: whole.typeIds.slice(from, to),
      });
      return { prefix: part(0, at), suffix: part(at + content.length, whole.ids.length) };
    }
  }
  throw new Error("special tokens change the text between them");
}

function formOf(json: JsonObject, tokenizer: Tokenizer): TokenForm {
  const model = object(json.model);
  const isWordPiece = model.type === "WordPiece";
  const normalizer = tokenizer.normalizer;
  return {
    normalize: normalizer && ((text) => normalizer(text)),
    byteLevel: mentions(json.pre_tokenizer, "ByteLevel") || mentions(json.decoder, "ByteLevel"),
    continuation: isWordPiece
      ? textOr(model.continuing_subword_prefix, "##")
      : textOr(model.continuing_subword_prefix, ""),
    wordEnd: textOr(model.end_of_word_suffix, ""),
    unknown: unknownOf(model),
    unknownIsWord: isWordPiece,
  };
}

function unknownOf(model: JsonObject): string | null {
  if (typeof model.unk_token === "string") return model.unk_token;
  const entry: unknown = Array.isArray(model.vocab) ? model.vocab[model.unk_id as number] : null;
  return Array.isArray(entry) ? textOr(entry[0], "") : null;
}

/** Whether a step or one of the steps inside it has that type. */
function mentions(step: unknown, type: string): boolean {
  if (!isJsonObject(step)) return false;
  const inner: unknown = step.pretokenizers ?? step.decoders;
  return step.type === type || (Array.isArray(inner) && inner.some((one) => mentions(one, type)));
}

function padIdOf(tokenizer: Tokenizer, json: JsonObject, config: JsonObject): number {
  const pad = isJsonObject(config.pad_token) ? config.pad_token.content : config.pad_token;
  const named = typeof pad === "string" ? tokenizer.token_to_id(pad) : undefined;
  const told = object(json.padding).pad_id;
  return named ?? (typeof told === "number" ? told : 0);
}

function maxLengthOf(json: JsonObject, config: JsonObject): number | null {
  const lengths = [config.model_max_length, object(json.truncation).max_length].filter(
    (length): length is number => typeof length === "number" && length > 0 && length < noLimit,
  );
  return lengths.length > 0 ? Math.min(...lengths) : null;
}

function object(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

function lower(value: unknown): unknown {
  return typeof value === "string" ? value.toLowerCase() : value;
}
