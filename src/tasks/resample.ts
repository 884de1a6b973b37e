/**
 * Resizing of 8-bit images that gives Pillow's numbers, byte for byte: a model was trained on what Pillow makes of an
 * image, and libvips' reducers differ from it by several grey levels. Separable convolution, horizontal pass first,
 * support widened by the scale when shrinking, weights in 22-bit fixed point, an 8-bit image between the passes.
 * Method and constants: the Pillow documentation ("Filters") and its Resample.c, versions 4 to 12. Pillow 13 runs the
 * vertical pass first where that is cheaper (mostly tall images) and then differs from its forerunners by some levels.
 */

/** An 8-bit image, rows of interleaved channels. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

export type Filter = "nearest" | "box" | "bilinear" | "hamming" | "bicubic" | "lanczos";

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
// Pillow writes these two as single-precision constants.
const hamming = [Math.fround(0.54), Math.fround(0.46)] as const;

const kernels: Record<Exclude<Filter, "nearest">, { support: number; weight: (x: number) => number }> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x) =>
      Math.abs(x) >= 1 ? 0 : sinc(x) * (hamming[0] + hamming[1] * Math.cos(Math.abs(x) * Math.PI)),
  },
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

const precisionBits = 22;
const half = 1 << (precisionBits - 1);

/** Which input pixels an output pixel is made of: `length` weights from input position `first`. */
interface Taps {
  readonly first: Int32Array;
  readonly length: Int32Array;
  /** Fixed-point weights, `stride` a pixel. */
  readonly weights: Int32Array;
  readonly stride: number;
}

function tapsOf(filter: Exclude<Filter, "nearest">, from: number, to: number): Taps {
  const { support, weight } = kernels[filter];
  const scale = from / to;
  const widened = Math.max(scale, 1);
  const reach = support * widened;
  const stride = Math.ceil(reach) * 2 + 1;
  const taps = {
    first: new Int32Array(to),
    length: new Int32Array(to),
    weights: new Int32Array(to * stride),
    stride,
  };
  const exact = new Float64Array(stride);
  for (let out = 0; out < to; out++) {
    const center = (out + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const length = Math.min(from, Math.trunc(center + reach + 0.5)) - first;
    let sum = 0;
    for (let i = 0; i < length; i++) {
      exact[i] = weight((i + first - center + 0.5) * (1 / widened));
      sum += exact[i]!;
    }
    for (let i = 0; i < length; i++) {
      const share = sum === 0 ? exact[i]! : exact[i]! / sum;
      taps.weights[out * stride + i] = Math.trunc(share * (1 << precisionBits) + (share < 0 ? -0.5 : 0.5));
    }
    taps.first[out] = first;
    taps.length[out] = length;
  }
  return taps;
}

const clip8 = (fixed: number): number => Math.min(255, Math.max(0, fixed >> precisionBits));

/**
 * Resizes in steps: yields after each band of rows, so that a caller can let other work in between, and returns the image.
 * Sizes are at least 1.
 */
export function* resizeInSteps(
  image: Pixels,
  width: number,
  height: number,
  filter: Filter,
): Generator<void, Pixels> {
  if (width === image.width && height === image.height) return image;
  if (filter === "nearest") return yield* nearest(image, width, height);
  const vertical = height === image.height ? null : tapsOf(filter, image.height, height);
  let current = image;
  if (width !== image.width)
    current = yield* horizontalPass(current, width, tapsOf(filter, image.width, width));
  if (vertical) current = yield* verticalPass(current, height, vertical);
  return current;
}

/** {@link resizeInSteps} in one go. */
export function resize(image: Pixels, width: number, height: number, filter: Filter): Pixels {
  const steps = resizeInSteps(image, width, height, filter);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Multiplications between two yields: about two milliseconds. */
const workPerStep = 1 << 20;

function* horizontalPass(image: Pixels, width: number, taps: Taps): Generator<void, Pixels> {
  const { height, channels, data: source } = image;
  const { weights } = taps;
  const data = new Uint8Array(width * height * channels);
  let work = 0;
  for (let y = 0; y < height; y++) {
    const row = y * image.width * channels;
    for (let x = 0; x < width; x++) {
      const length = taps.length[x]!;
      const weight = x * taps.stride;
      for (let c = 0; c < channels; c++) {
        let sum = half;
        let at = row + taps.first[x]! * channels + c;
        for (let i = 0; i < length; i++) {
          sum += source[at]! * weights[weight + i]!;
          at += channels;
        }
        data[(y * width + x) * channels + c] = clip8(sum);
      }
      work += length * channels;
    }
    if (work > workPerStep) {
      work = 0;
      yield;
    }
  }
  return { width, height, channels, data };
}

function* verticalPass(image: Pixels, height: number, taps: Taps): Generator<void, Pixels> {
  const { width, channels, data: source } = image;
  const { weights } = taps;
  const stride = width * channels;
  const data = new Uint8Array(height * stride);
  let work = 0;
  for (let y = 0; y < height; y++) {
    const first = taps.first[y]! * stride;
    const length = taps.length[y]!;
    const weight = y * taps.stride;
    for (let x = 0; x < stride; x++) {
      let sum = half;
      for (let i = 0; i < length; i++) sum += source[first + i * stride + x]! * weights[weight + i]!;
      data[y * stride + x] = clip8(sum);
    }
    work += length * stride;
    if (work > workPerStep) {
      work = 0;
      yield;
    }
  }
  return { width, height, channels, data };
}

/** The input position under the middle of each output pixel; added up step by step as Pillow does, rounding included. */
function nearestPositions(from: number, to: number): Int32Array {
  const scale = from / to;
  const positions = new Int32Array(to);
  let position = scale * 0.5;
  for (let out = 0; out < to; out++) {
    positions[out] = Math.min(from - 1, Math.floor(position));
    position += scale;
  }
  return positions;
}

function* nearest(image: Pixels, width: number, height: number): Generator<void, Pixels> {
  const { channels } = image;
  const columns = nearestPositions(image.width, width);
  const rows = nearestPositions(image.height, height);
  const data = new Uint8Array(width * height * channels);
  let next = 0;
  for (let y = 0; y < height; y++) {
    const row = rows[y]! * image.width;
    for (let x = 0; x < width; x++) {
      const at = (row + columns[x]!) * channels;
      for (let c = 0; c < channels; c++) data[next++] = image.data[at + c]!;
    }
    if ((y & 63) === 63) yield;
  }
  return { width, height, channels, data };
}
