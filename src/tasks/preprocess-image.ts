/** The steps of an {@link ImagePlan} on pixels, with the numbers of Hugging Face's NumPy image processors. */
import type { ImagePlan, ResizeStep, Size } from "./image-processor.ts";
import { resizeInSteps, type Pixels } from "./resample.ts";

/** Size after the plan's resize; the longer edge is rounded down. */
export function resizedSize(image: Size, step: ResizeStep): Size {
  if ("to" in step) return step.to;
  const short = step.shortestEdge;
  return image.width <= image.height
    ? { width: short, height: Math.trunc((short * image.height) / image.width) }
    : { width: Math.trunc((short * image.width) / image.height), height: short };
}

/** Size after resize and crop, or null when it depends on the image. */
export function plannedSize(plan: ImagePlan): Size | null {
  return plan.crop ?? (plan.resize && "to" in plan.resize ? plan.resize.to : null);
}

/** Resize and crop. A generator, so that a large image does not hold up everything else; see `resizeInSteps`. */
export function* shapePixels(image: Pixels, plan: ImagePlan): Generator<void, Pixels> {
  let current = image;
  if (plan.resize) {
    const { width, height } = resizedSize(image, plan.resize);
    current = yield* resizeInSteps(image, Math.max(1, width), Math.max(1, height), plan.filter);
  }
  return plan.crop ? centerCrop(current, plan.crop) : current;
}

/** Cuts the middle out; where the image is smaller than the crop it is surrounded by black. */
export function centerCrop(image: Pixels, { height, width }: Size): Pixels {
  if (image.height === height && image.width === width) return image;
  const { channels } = image;
  const data = new Uint8Array(height * width * channels);
  const [top, left] = [cropOffset(image.height, height), cropOffset(image.width, width)];
  const x0 = Math.max(0, -left);
  const x1 = Math.min(width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
    const from = ((y + top) * image.width + left + x0) * channels;
    data.set(image.data.subarray(from, from + (x1 - x0) * channels), (y * width + x0) * channels);
  }
  return { width, height, channels, data };
}

/**
 * Where the crop begins in the image: ⌊(have − want)/2⌋, negative when the image is the smaller one. With black added
 * on one axis only, Hugging Face's order of rounding comes to the same.
 */
function cropOffset(have: number, want: number): number {
  return Math.floor((have - want) / 2);
}

/** Where each channel's values go: rows of one channel together, or channels together. */
export type ChannelOrder = "channels_first" | "channels_last";

/**
 * Rescales and normalises, `(x·scale − mean) / std`, rounding to float32 after every operation as NumPy does.
 * @param out receives height × width × channels values from `offset` on
 */
export function writeValues(
  image: Pixels,
  plan: ImagePlan,
  order: ChannelOrder,
  out: { [index: number]: number },
  offset: number,
): void {
  const { channels, data } = image;
  const count = image.width * image.height;
  for (let c = 0; c < channels; c++) {
    const source = plan.flipChannels ? channels - 1 - c : c;
    const table = valueTable(plan, c);
    const [first, step] = order === "channels_first" ? [offset + c * count, 1] : [offset + c, channels];
    for (let i = 0, to = first; i < count; i++, to += step) out[to] = table[data[i * channels + source]!]!;
  }
}

/** What each of the 256 levels becomes in channel `channel`. */
function valueTable(plan: ImagePlan, channel: number): Float32Array {
  const table = new Float32Array(256);
  const { rescale, normalize } = plan;
  const pick = (values: readonly number[]): number => Math.fround(values[channel] ?? values[0]!);
  for (let level = 0; level < 256; level++) {
    const scaled = rescale === null ? level : Math.fround(level * rescale);
    table[level] = normalize ? Math.fround(scaled - pick(normalize.mean)) / pick(normalize.std) : scaled;
  }
  return table;
}
