/** `preprocessor_config.json` as a plan: which steps turn pixels into the model's numbers. */
import { AtPatchError } from "../shared/errors.ts";
import { isJsonObject, type JsonObject } from "./folder-files.ts";
import { imageFamily, type ImageFamily } from "./image-families.ts";
import type { Filter } from "./resample.ts";

export interface Size {
  readonly height: number;
  readonly width: number;
}

/** To a fixed size, or so that the shorter edge gets a length and the ratio stays. */
export type ResizeStep = { readonly to: Size } | { readonly shortestEdge: number };

/** Steps in the order they are taken; a null step is skipped. */
export interface ImagePlan {
  readonly resize: ResizeStep | null;
  readonly filter: Filter;
  readonly crop: Size | null;
  /** Blue, green, red instead of red, green, blue. */
  readonly flipChannels: boolean;
  readonly rescale: number | null;
  /** One value a channel, or one for all. */
  readonly normalize: { readonly mean: readonly number[]; readonly std: readonly number[] } | null;
}

/** Pillow's codes. */
const filters: readonly Filter[] = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
/** Steps known here, or without effect on the pixels of a classifier. */
const knownSteps = [
  "do_resize",
  "do_center_crop",
  "do_rescale",
  "do_normalize",
  "do_convert_rgb",
  "do_flip_channel_order",
  "do_reduce_labels",
];
/** Keys that change pixels in ways that are not built, unless they have one of the harmless values. */
const unsupported: Readonly<Record<string, readonly unknown[]>> = {
  size_divisor: [null],
  ensure_multiple_of: [null, 1],
  keep_aspect_ratio: [null, false],
  rescale_offset: [null, false],
  include_top: [null, false],
  offset: [null, false],
};
const largestEdge = 16_384;

/**
 * Reads `preprocessor_config.json`.
 * @throws AtPatchError ATPATCH_BAD_MODEL with every key that is missing, wrong, or asks for a step that is not supported
 */
export function parseImageProcessor(content: JsonObject): ImagePlan {
  const type = content.image_processor_type ?? content.feature_extractor_type;
  const family = imageFamily(typeof type === "string" ? type : undefined);
  if (!family) throw refusal([`image_processor_type: ${String(type)} is not supported`]);
  const reader = new Reader(content, family);
  for (const key of Object.keys(content)) {
    if (key.startsWith("do_") && !knownSteps.includes(key) && content[key] === true) {
      reader.fault(`${key}: this step is not supported`);
    }
    const harmless = Object.hasOwn(unsupported, key) ? unsupported[key] : undefined;
    if (harmless && !harmless.includes(content[key])) reader.fault(`${key}: is not supported`);
  }
  if (!family.cropsByPercent && typeof content.crop_pct === "number")
    reader.fault("crop_pct: is not supported");

  const plan: ImagePlan = {
    ...resizeAndCrop(reader, family),
    flipChannels: reader.flag("do_flip_channel_order", false),
    rescale: reader.flag("do_rescale") ? reader.number("rescale_factor") : null,
    normalize: reader.flag("do_normalize")
      ? { mean: reader.channelValues("image_mean"), std: reader.channelValues("image_std") }
      : null,
  };
  if (plan.normalize?.std.includes(0)) reader.fault("image_std: must not be 0");
  reader.finish();
  return plan;
}

function resizeAndCrop(reader: Reader, family: ImageFamily): Pick<ImagePlan, "resize" | "filter" | "crop"> {
  const resize = reader.flag("do_resize") ? reader.resizeStep(family) : null;
  const filter = resize ? reader.filter() : "nearest";
  const crop = reader.flag("do_center_crop", false) ? reader.cropSize() : null;
  if (!family.cropsByPercent || !resize || !("shortestEdge" in resize)) return { resize, filter, crop };
  const edge = resize.shortestEdge;
  const whole = { height: edge, width: edge };
  if (edge >= 384) return { resize: { to: whole }, filter, crop: null };
  const shortestEdge = Math.trunc(edge / reader.number("crop_pct"));
  return { resize: { shortestEdge }, filter, crop: whole };
}

/** Reads keys with the family's defaults behind them and collects what is wrong. */
class Reader {
  readonly #content: JsonObject;
  readonly #faults: string[] = [];

  constructor(content: JsonObject, family: ImageFamily) {
    const given = Object.entries(content).filter(([, value]) => value !== null && value !== undefined);
    this.#content = { ...family.defaults, ...Object.fromEntries(given) };
  }

  fault(text: string): void {
    this.#faults.push(text);
  }

  finish(): void {
    if (this.#faults.length > 0) throw refusal(this.#faults);
  }

  flag(key: string, fallback?: boolean): boolean {
    const value = this.#content[key] ?? fallback;
    if (typeof value !== "boolean") this.fault(`${key}: must be true or false`);
    return value === true;
  }

  number(key: string): number {
    const value = this.#content[key];
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    this.fault(`${key}: must be a positive number`);
    return 1;
  }

  filter(): Filter {
    const found = filters[this.#content.resample as number];
    if (!found) this.fault(`resample: must be one of Pillow's codes 0 to ${filters.length - 1}`);
    return found ?? "nearest";
  }

  channelValues(key: string): number[] {
    const value: unknown = this.#content[key];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    if ([1, 3].includes(values.length) && values.every((v) => Number.isFinite(v))) return values as number[];
    this.fault(`${key}: must be a number for each of 3 channels, or one for all`);
    return [1];
  }

  resizeStep(family: ImageFamily): ResizeStep {
    const size: unknown = this.#content.size;
    if (isEdge(size) && family.plainSize === "shortest_edge") return { shortestEdge: size };
    if (isJsonObject(size) && isEdge(size.shortest_edge) && (size.longest_edge ?? null) === null) {
      return { shortestEdge: size.shortest_edge };
    }
    return { to: this.#exactSize("size", size, " or a shortest_edge") };
  }

  cropSize(): Size {
    return this.#exactSize("crop_size", this.#content.crop_size, "");
  }

  #exactSize(key: string, value: unknown, alternative: string): Size {
    if (isEdge(value)) return { height: value, width: value };
    const [height, width] = Array.isArray(value)
      ? (value as readonly unknown[])
      : isJsonObject(value)
        ? [value.height, value.width]
        : [];
    if (isEdge(height) && isEdge(width)) return { height, width };
    this.fault(`${key}: must be a number, a height and width${alternative}, each from 1 to ${largestEdge}`);
    return { height: 1, width: 1 };
  }
}

function isEdge(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largestEdge;
}

function refusal(faults: readonly string[]): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `preprocessor_config.json: ${faults.join("; ")}`);
}
