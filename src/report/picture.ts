/** The picture that a model sees, out of its input: cropped and resized already, so that patches lie where they are. */
import sharp from "sharp";
import { floatValues } from "../shared/float-bits.ts";
import type { Tensor } from "../shared/tensor.ts";

/** Longest side that is drawn; a picture is shown small. */
const longest = 256;

/**
 * A PNG as a data address, with the input's range stretched to black and white.
 * @param input one sample, [1, C, H, W] or [1, H, W, C] with 1 or 3 channels
 * @returns null when the input is no such picture
 */
export async function pictureOf(input: Tensor | undefined): Promise<string | null> {
  if (input?.shape.length !== 4 || input.data instanceof BigInt64Array) return null;
  const [, first = 0, second = 0, third = 0] = input.shape;
  const channelsFirst = first === 1 || first === 3;
  const channels = channelsFirst ? first : third;
  if (channels !== 1 && channels !== 3) return null;
  const [height, width] = channelsFirst ? [second, third] : [first, second];
  const values = floatValues(input);
  const [low, high] = rangeOf(values);
  const scale = high > low ? 255 / (high - low) : 0;
  const pixels = new Uint8Array(height * width * channels);
  for (let at = 0; at < height * width; at++) {
    for (let c = 0; c < channels; c++) {
      const from = channelsFirst ? c * height * width + at : at * channels + c;
      pixels[at * channels + c] = Math.round((values[from]! - low) * scale);
    }
  }
  const png = await sharp(pixels, { raw: { width, height, channels } })
    .resize(longest, longest, { fit: "inside", withoutEnlargement: true })
    .png({ compressionLevel: 9 })
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}

function rangeOf(values: Float32Array): readonly [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}
