/** Image classifiers: `{"b64": "…"}` or nested numbers in, predictions out, key columns as patches. */
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { AtPatchError } from "../shared/errors.ts";
import { toBfloat16, toHalf } from "../shared/float-bits.ts";
import { datatypes, type NumericDatatype, type TensorInfo } from "../shared/tensor.ts";
import { batchedInput, checkInstances, fixedBatch, stack, type BatchedInput } from "./batch.ts";
import type { ClassScores } from "./class-scores.ts";
import { decodeImage, imageBytes } from "./decode-image.ts";
import { isJsonObject } from "./folder-files.ts";
import { blackOut } from "./erase.ts";
import type { ImagePlan, Size } from "./image-processor.ts";
import { Limiter } from "./limiter.ts";
import { readNested, shapeText, type SampleValues } from "./nested.ts";
import { locatePatch, type Grid } from "./patch-grid.ts";
import { plannedSize, shapePixels, writeValues, type ChannelOrder } from "./preprocess-image.ts";
import type { Prepared, Task } from "./task.ts";

export interface ImageTaskOptions {
  readonly input: TensorInfo;
  readonly plan: ImagePlan;
  readonly scores: ClassScores;
  readonly grid: Grid | null;
  readonly firstKey: number;
  readonly instanceLimit?: number | undefined;
  readonly pixelLimit?: number | undefined;
}

/** How an input of rank 4 holds pictures. */
export interface ImageInput extends BatchedInput {
  readonly order: ChannelOrder;
  readonly channels: 1 | 3;
  readonly height: number | null;
  readonly width: number | null;
}

/**
 * Pictures decoded and resized at the same time, over all requests: bounds memory, and leaves one of the four threads that
 * Node has for such work to the log of an activation, and a core to the event loop.
 */
const picturesAtOnce = Math.min(3, Math.max(1, availableParallelism() - 1));
/** Milliseconds of resizing after which other work gets its turn. */
const turn = 5;

/** The input as a picture, [batch, channels, height, width] or channels last, or null when it is none. */
export function imageInput(input: TensorInfo): ImageInput | null {
  const [, first, second, third] = input.shape;
  if (input.shape.length !== 4 || first === undefined || second === undefined || third === undefined)
    return null;
  const batched = batchedInput(input);
  const isChannels = (dim: number | null): dim is 1 | 3 => dim === 1 || dim === 3;
  if (isChannels(first) || (first === null && !isChannels(third))) {
    return { ...batched, order: "channels_first", channels: first ?? 3, height: second, width: third };
  }
  return isChannels(third)
    ? { ...batched, order: "channels_last", channels: third, height: first, width: second }
    : null;
}

/**
 * A task whose instances are pictures.
 * @throws AtPatchError ATPATCH_BAD_MODEL when the preprocessing does not fit the model's input
 */
export function createImageTask(options: ImageTaskOptions): Task {
  const { plan, scores, grid, firstKey, instanceLimit, pixelLimit } = options;
  const input = imageInput(options.input);
  if (!input)
    throw unfit(
      `input "${options.input.name}" has shape ${shapeText(options.input.shape)}, which is no picture`,
    );
  checkPlan(plan, input);
  const limiter = new Limiter(picturesAtOnce);

  const prepare = async (instances: readonly unknown[]): Promise<Prepared> => {
    checkInstances(instances, [input], instanceLimit);
    const outcomes = await Promise.allSettled(
      instances.map((instance, i) =>
        limiter.run(() => readPicture(`instances[${i}]`, instance, input, plan, pixelLimit)),
      ),
    );
    const samples = outcomes.map((outcome) => {
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    });
    const tensor = stack(input.datatype, samples);
    const size = sizeOf(input.order, tensor.shape.slice(1));
    return {
      batch: instances.length,
      inputs: { [input.name]: tensor },
      locate: (_sample, column) => grid && locatePatch(grid, size, column),
    };
  };
  return {
    kind: "image-classification",
    labels: scores.labels,
    batch: fixedBatch([input]),
    erase: async (instance, places) => {
      const { inputs } = await prepare(Array.from({ length: input.batch ?? 1 }, () => instance));
      return blackOut(instance, places, sizeOf(input.order, inputs[input.name]!.shape.slice(1)));
    },
    layout: grid ?? { kind: "sequence", firstKey },
    prepare,
    predict: scores.predict,
    logits: scores.logits,
  };
}

async function readPicture(
  at: string,
  instance: unknown,
  input: ImageInput,
  plan: ImagePlan,
  pixelLimit: number | undefined,
): Promise<SampleValues> {
  if (Array.isArray(instance)) return readNested(at, instance, input.datatype, input.sampleShape);
  if (!isJsonObject(instance) || !Object.hasOwn(instance, "b64")) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `${at}: expected {"b64": "<image>"} or nested numbers ${shapeText(input.sampleShape)}`,
    );
  }
  const extra = Object.keys(instance).find((key) => key !== "b64");
  if (extra !== undefined) {
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `${at}: "${extra.slice(0, 40)}" is unknown, expected b64 alone`,
    );
  }
  const pixels = await decodeImage(at, imageBytes(at, instance.b64), input.channels, pixelLimit);
  const shaped = await inTurns(shapePixels(pixels, plan));
  if ((input.height ?? shaped.height) !== shaped.height || (input.width ?? shaped.width) !== shaped.width) {
    throw new AtPatchError(
      "ATPATCH_UNPROCESSABLE",
      `${at}: has ${shaped.width} × ${shaped.height} pixels after preprocessing, the model takes ${input.width ?? "any"} × ${input.height ?? "any"}`,
    );
  }
  const values = new Float32Array(shaped.data.length);
  writeValues(shaped, plan, input.order, values, 0);
  const { height, width } = shaped;
  return {
    shape:
      input.order === "channels_first" ? [input.channels, height, width] : [height, width, input.channels],
    data: castFloats(values, input.datatype),
  };
}

/** Runs a stepwise computation and lets the event loop turn whenever it has taken `turn` milliseconds. */
async function inTurns<T>(steps: Generator<void, T>): Promise<T> {
  let began = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - began > turn) {
      await setImmediate();
      began = performance.now();
    }
  }
}

function castFloats(values: Float32Array, datatype: NumericDatatype): SampleValues["data"] {
  if (datatype === "FP32") return values;
  if (datatype === "FP16") return Uint16Array.from(values, toHalf);
  if (datatype === "BF16") return Uint16Array.from(values, toBfloat16);
  return (datatypes[datatype] as typeof Float64Array | typeof Uint8Array).from(values);
}

function sizeOf(order: ChannelOrder, shape: readonly number[]): Size {
  const [height = 0, width = 0] = order === "channels_first" ? shape.slice(1) : shape;
  return { height, width };
}

function checkPlan(plan: ImagePlan, input: ImageInput): void {
  const planned = plannedSize(plan);
  const { height, width } = input;
  if (
    planned &&
    ((height ?? planned.height) !== planned.height || (width ?? planned.width) !== planned.width)
  ) {
    throw unfit(
      `makes ${planned.width} × ${planned.height} pixels, the model takes ${width ?? "any"} × ${height ?? "any"}`,
    );
  }
  const floats = ["FP32", "FP16", "BF16", "FP64"].includes(input.datatype);
  const levels = input.datatype === "UINT8" && plan.rescale === null && plan.normalize === null;
  if (!floats && !levels) {
    throw unfit(`makes floating-point values, the model's input "${input.name}" is ${input.datatype}`);
  }
}

function unfit(why: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `preprocessor_config.json: ${why}`);
}
