/** An image as requests carry it, `{"b64": "…"}`, turned into pixels. Errors name the instance. */
import sharp, { type Metadata, type Sharp } from "sharp";
import { AtPatchError } from "../shared/errors.ts";
import type { Pixels } from "./resample.ts";

/** Width × height up to which images are decoded unless a model says otherwise: 16 megapixels. */
export const defaultPixelLimit = 16 * 1024 * 1024;

const formats = "PNG, JPEG or WebP";
const dataUrl = /^data:[^,]*;base64,/i;
const notBase64 = /[^A-Za-z0-9+/=]/;

/**
 * Sets the decoder of this process up for a server. It would keep up to 50 MB of past pictures for operations that might come
 * again, though requests bring new ones, and what a request brought should not stay; and it would start as many threads for a
 * picture as there are cores, which already work for other requests.
 */
export function frugalDecoder(): void {
  sharp.cache(false);
  sharp.concurrency(1);
}

/**
 * Bytes of a `{"b64": "…"}` instance; standard base64 with or without padding, or a `data:` URL with it.
 * @param at name of the instance in errors, e.g. `instances[3]`
 * @throws AtPatchError ATPATCH_BAD_INPUT
 */
export function imageBytes(at: string, b64: unknown): Uint8Array {
  if (typeof b64 !== "string") throw bad(`${at}.b64`, `expected base64 text of a ${formats} file`);
  const text = b64.slice(dataUrl.exec(b64.slice(0, 200))?.[0].length ?? 0).replace(/[\r\n]/g, "");
  const digits = text.replace(/={0,2}$/, "").length;
  if (digits === 0) throw bad(`${at}.b64`, `is empty, expected a ${formats} file`);
  if (notBase64.test(text) || /=[^=]/.test(text) || digits % 4 === 1) throw bad(`${at}.b64`, "is not base64");
  return Buffer.from(text, "base64");
}

/**
 * Decodes an image to 8-bit pixels of `channels` channels: 3 is RGB, 1 is luma (ITU-R 601).
 * Only the content decides the format. Alpha is dropped, not blended, and colour profiles are ignored, as Pillow's
 * `convert("RGB")` does; a picture is turned as its EXIF orientation says, as Hugging Face's loaders do; of an animation
 * the first frame counts; 16-bit samples keep their high byte.
 * @throws AtPatchError ATPATCH_BAD_INPUT: no such image, or a broken one; ATPATCH_UNPROCESSABLE: over the pixel limit
 */
export async function decodeImage(
  at: string,
  bytes: Uint8Array,
  channels: 1 | 3,
  pixelLimit = defaultPixelLimit,
): Promise<Pixels> {
  if (!isSupported(bytes)) throw bad(at, `is not a ${formats} image`);
  // The header is read first: a picture that is too large must not be decoded to find out.
  const { width, height, space } = await attempt(
    at,
    () => open(bytes, false).metadata(),
    "has a broken header",
  );
  if (width * height > pixelLimit) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `${at}: the image has ${width} × ${height} pixels, at most ${pixelLimit} are accepted`,
    );
  }
  if (space === "cmyk") {
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", `${at}: the image is CMYK, expected RGB or grey`);
  }
  const { data, info } = await attempt(
    at,
    () =>
      open(bytes, pixelLimit)
        .autoOrient()
        .removeAlpha()
        .toColourspace("srgb")
        .raw()
        .toBuffer({ resolveWithObject: true }),
    "is a truncated or damaged image",
  );
  const pixels = { width: info.width, height: info.height, channels: info.channels, data };
  return channels === 1 ? toLuma(pixels) : toRgb(pixels);
}

function open(bytes: Uint8Array, limitInputPixels: number | false): Sharp {
  return sharp(bytes, { limitInputPixels, failOn: "error", ignoreIcc: true, pages: 1 });
}

async function attempt<T extends Metadata | { data: Buffer }>(
  at: string,
  work: () => Promise<T>,
  fault: string,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", `${at}: ${fault}`, { cause: error });
  }
}

/** By content: the decoder also knows formats (SVG, PDF, …) that have no place in a request. */
function isSupported(bytes: Uint8Array): boolean {
  const starts = (offset: number, ...magic: number[]): boolean =>
    magic.every((byte, i) => bytes[offset + i] === byte);
  const png = starts(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const jpeg = starts(0, 0xff, 0xd8, 0xff);
  const webp = starts(0, 0x52, 0x49, 0x46, 0x46) && starts(8, 0x57, 0x45, 0x42, 0x50);
  return png || jpeg || webp;
}

function toRgb(image: Pixels): Pixels {
  if (image.channels === 3) return image;
  const count = image.width * image.height;
  const data = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) data.fill(image.data[i * image.channels]!, i * 3, i * 3 + 3);
  return { ...image, channels: 3, data };
}

/** L = (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶: Pillow's `convert("L")`. */
function toLuma(image: Pixels): Pixels {
  if (image.channels === 1) return image;
  const count = image.width * image.height;
  const data = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * image.channels;
    data[i] =
      (19595 * image.data[at]! + 38470 * image.data[at + 1]! + 7471 * image.data[at + 2]! + 0x8000) >> 16;
  }
  return { ...image, channels: 1, data };
}

function bad(at: string, what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", `${at}: ${what}`);
}
