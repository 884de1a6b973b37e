/** What holds of the tensors of a detector: datatypes, shapes that agree with each other, and ranges. */
import {
  attentionFeatureCount,
  detectorShapes,
  detectorTensorNames,
  settingIndex,
  type DetectorTensorName,
  type DetectorTensors,
} from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { elementCount, type Tensor } from "../shared/tensor.ts";
import { maxExtent, maxSites } from "./bundle-metadata.ts";

/** Most channels of a layer, heads of a map or of values, and elements of a head. */
export const maxChannels = 4096;

/** A dimension: a symbol, which has one size in all tensors, or a symbol that may be 1 instead, or a number. */
type Dim = string | number;

/** Upper limits of the symbols; see `DetectorTensors` for their meaning. A trailing "?" allows 1 for that tensor. */
const limits: Readonly<Record<string, number>> = {
  S: maxSites,
  D: maxSites,
  F: maxExtent,
  C1: maxChannels,
  C2: maxChannels,
  K: 3,
  H: maxChannels,
  Hv: maxChannels,
  Tq: maxExtent,
  Tk: maxExtent,
  d: maxChannels,
};

const shapes: Readonly<Record<DetectorTensorName, readonly Dim[]>> = detectorShapes;

/**
 * Checks the tensors of a detector, whoever made them.
 * @throws AtPatchError ATPATCH_BAD_BUNDLE naming the tensor and what was expected
 */
export function checkDetectorTensors(tensors: ReadonlyMap<string, Tensor>): DetectorTensors {
  for (const name of tensors.keys()) {
    if (name !== "forced" && !Object.hasOwn(shapes, name)) throw bad(name, "a detector has no such tensor");
  }
  const sizes = new Map<string, number>();
  const checked: Partial<Record<DetectorTensorName, Tensor>> = {};
  for (const name of detectorTensorNames) {
    const tensor = tensors.get(name);
    if (!tensor) throw bad(name, "the tensor is missing");
    checkForm(name, tensor, sizes);
    checked[name] = tensor;
  }
  const forced = tensors.get("forced");
  if (forced) checkForced(forced);
  const detector: DetectorTensors = { ...(checked as DetectorTensors), ...(forced && { forced }) };
  checkSizes(sizes);
  checkRanges(detector, sizes.get("D") ?? 0);
  return detector;
}

function checkForm(
  name: DetectorTensorName,
  { datatype, shape, data }: Tensor,
  sizes: Map<string, number>,
): void {
  const expected = name === "slot" ? "INT64" : "FP32";
  if (datatype !== expected) throw bad(name, `expected ${expected}, got ${datatype}`);
  const dims = shapes[name];
  const wanted = () => `[${dims.map((dim) => describeDim(dim, sizes)).join(", ")}]`;
  const fits = dims.every((dim, axis) => bindDim(dim, shape[axis] ?? 0, sizes));
  if (shape.length !== dims.length || !fits)
    throw bad(name, `expected shape ${wanted()}, got [${shape.join(", ")}]`);
  if (data.length !== elementCount(shape)) {
    throw bad(name, `shape [${shape.join(", ")}] needs ${elementCount(shape)} elements, got ${data.length}`);
  }
  if (data instanceof Float32Array) {
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw bad(name, `expected finite numbers, got ${data[at]} at element ${at}`);
  }
}

function checkForced({ datatype, shape, data }: Tensor): void {
  const [keys = 0, ...more] = shape;
  if (datatype !== "BOOL" || more.length > 0 || keys < 1 || keys > maxExtent || data.length !== keys) {
    throw bad("forced", `expected BOOL [key positions], got ${datatype} [${shape.join(", ")}]`);
  }
}

/** Whether `size` suits the dimension; the first size of a symbol binds it. */
function bindDim(dim: Dim, size: number, sizes: Map<string, number>): boolean {
  if (typeof dim === "number") return size === dim;
  const symbol = dim.replace("?", "");
  if (dim !== symbol && size === 1) return true;
  if (!sizes.has(symbol)) sizes.set(symbol, size);
  return sizes.get(symbol) === size && size >= 1;
}

function describeDim(dim: Dim, sizes: ReadonlyMap<string, number>): string {
  if (typeof dim === "number") return String(dim);
  const symbol = dim.replace("?", "");
  const bound = sizes.get(symbol);
  return `${dim !== symbol ? "1 or " : ""}${symbol}${bound ? ` = ${bound}` : ""}`;
}

function checkSizes(sizes: ReadonlyMap<string, number>): void {
  for (const [symbol, size] of sizes) {
    const limit = limits[symbol] ?? 0;
    if (size > limit) throw bad(null, `${symbol} may be ${limit}, got ${size}`);
  }
  if (sizes.get("K") === 2) throw bad("conv1_weight", "expected a kernel of 1 or 3, got 2");
  const features = sizes.get("F") ?? 0;
  if (features < attentionFeatureCount) {
    throw bad("feature_mean", `expected at least ${attentionFeatureCount} features, got ${features}`);
  }
}

function checkRanges(detector: DetectorTensors, rows: number): void {
  const slots = Array.from(detector.slot.data, Number);
  if (slots.some((row) => row < -1 || row >= rows)) {
    throw bad("slot", `expected rows from -1 to ${rows - 1}, got [${slots.join(", ")}]`);
  }
  const thresholds = numbers(detector.thresholds);
  for (let row = 0; row < rows; row += 1) {
    const [gate = 0, column = 0] = thresholds.slice(2 * row, 2 * row + 2);
    if (column > gate)
      throw bad("thresholds", `row ${row}: the column threshold ${column} is above the gate ${gate}`);
  }
  if (numbers(detector.feature_scale).some((scale) => scale < 0))
    throw bad("feature_scale", "expected no negative scale");
  const settings = numbers(detector.settings);
  for (const [name, { fits, range }] of Object.entries(settingRanges)) {
    const value = settings[settingIndex[name as keyof typeof settingIndex]] ?? NaN;
    if (!fits(value)) throw bad("settings", `${name}: expected ${range}, got ${value}`);
  }
  const attention = numbers(detector.reference_attention);
  // A mean of attention may be above 1 by rounding.
  const most = settings[settingIndex.ratio] === 1 ? Infinity : 1.001;
  if (attention.some((mass) => mass < 0 || mass > most)) {
    throw bad("reference_attention", most < 2 ? "expected attention from 0 to 1" : "expected ratios from 0");
  }
}

const isSwitch = { fits: (value: number) => value === 0 || value === 1, range: "0 or 1" };
const settingRanges: Readonly<
  Record<keyof typeof settingIndex, { fits: (value: number) => boolean; range: string }>
> = {
  maxBenignMass: { fits: (value) => value > 0 && value < 1, range: "a share above 0 and below 1" },
  maxFlaggedShare: { fits: (value) => value > 0 && value <= 1, range: "a share above 0 and up to 1" },
  firstKey: {
    fits: (value) => Number.isInteger(value) && value >= 0 && value <= maxExtent,
    range: `a position from 0 to ${maxExtent}`,
  },
  ratio: isSwitch,
  replaceValue: isSwitch,
};

function numbers(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

function bad(name: string | null, message: string): AtPatchError {
  return new AtPatchError(
    "ATPATCH_BAD_BUNDLE",
    `${name === null ? "detector tensors" : `tensor ${name}`}: ${message}`,
  );
}
