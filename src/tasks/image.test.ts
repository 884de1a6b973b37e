import { readFileSync } from "node:fs";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { fromHalf } from "../shared/float-bits.ts";
import type { TensorInfo } from "../shared/tensor.ts";
import { createClassScores } from "./class-scores.ts";
import { createImageTask, imageInput } from "./image.ts";
import { parseImageProcessor } from "./image-processor.ts";
import type { Task } from "./task.ts";

interface Case {
  config: Record<string, unknown>;
  b64: string;
  shape: [number, number, number];
  expected: number[];
}

const { cases } = JSON.parse(
  readFileSync(new URL("testdata/hf-processors.json", import.meta.url), "utf8"),
) as { cases: Case[] };

const scores = createClassScores({ config: null, settings: {}, labels: ["a", "b"] }, []);

function task(
  config: Record<string, unknown>,
  shape: readonly (number | null)[],
  more: Partial<Parameters<typeof createImageTask>[0]> = {},
  datatype: TensorInfo["datatype"] = "FP32",
): Task {
  const input = { name: "pixel_values", datatype, shape };
  return createImageTask({
    input,
    plan: parseImageProcessor(config),
    scores,
    grid: null,
    firstKey: 1,
    ...more,
  });
}

const plain = { do_rescale: false, do_normalize: false, do_resize: false };
const b64 = async (width: number, height: number, pixels: Uint8Array): Promise<{ b64: string }> => {
  const bytes = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return { b64: bytes.toString("base64") };
};
const failure = (promise: Promise<unknown>): Promise<{ code: string; message: string }> =>
  promise.then(
    () => expect.unreachable("should have failed"),
    (error: unknown) => error as { code: string; message: string },
  );

describe("preprocessing", () => {
  it.each(cases)(
    "gives the values of the Hugging Face processor: $config.image_processor_type %#",
    async (one) => {
      const { inputs } = await task(one.config, [null, ...one.shape]).prepare([{ b64: one.b64 }]);
      expect(inputs.pixel_values?.shape).toEqual([1, ...one.shape]);
      expect(inputs.pixel_values?.data).toEqual(Float32Array.from(one.expected));
    },
  );

  it("puts channels last, into one channel and into other datatypes where the model wants that", async () => {
    const instance = await b64(2, 1, Uint8Array.of(10, 20, 30, 40, 50, 60));
    const tall = await b64(1, 2, Uint8Array.of(10, 20, 30, 40, 50, 60));
    const last = await task(plain, [null, 2, 1, 3]).prepare([tall]);
    expect(last.inputs.pixel_values).toEqual({
      datatype: "FP32",
      shape: [1, 2, 1, 3],
      data: Float32Array.of(10, 20, 30, 40, 50, 60),
    });
    const grey = await task(plain, [null, 1, 1, 2], {}, "UINT8").prepare([instance]);
    expect(grey.inputs.pixel_values?.data).toEqual(Uint8Array.of(18, 48));
    const halves = await task({ ...plain, do_rescale: true }, [null, 3, 1, 2], {}, "FP16").prepare([
      instance,
    ]);
    expect(Array.from(halves.inputs.pixel_values?.data as Uint16Array, fromHalf)).toEqual(
      [10, 40, 20, 50, 30, 60].map((level) => expect.closeTo(level / 255, 3) as number),
    );
  });

  it("keeps samples apart in a batch", async () => {
    const [one, two] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)];
    const both = await task(plain, [null, 3, 1, 1]).prepare([await b64(1, 1, one), await b64(1, 1, two)]);
    expect(both.batch).toBe(2);
    expect(both.inputs.pixel_values?.data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  });

  it("takes the model's own numbers unchanged", async () => {
    const raw = [[[0.25, -1]], [[2, 3]], [[4, 5]]];
    const { inputs } = await task(plain, [null, 3, 1, 2]).prepare([raw]);
    expect(inputs.pixel_values?.data).toEqual(Float32Array.of(0.25, -1, 2, 3, 4, 5));
  });

  it("lets other work run while a large picture is resized", async () => {
    const bytes = await sharp({ create: { width: 3000, height: 3000, channels: 3, background: "#123456" } })
      .png()
      .toBuffer();
    const began = performance.now();
    let [last, longest] = [began, 0];
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const config = { ...plain, do_resize: true, size: 224, resample: 1 };
    await task(config, [null, 3, 224, 224]).prepare([{ b64: bytes.toString("base64") }]);
    const end = performance.now();
    clearInterval(ticking);
    // In one go the resize alone takes most of the time.
    expect(Math.max(longest, end - last)).toBeLessThan((end - began) / 3);
  });
});

describe("bad instances", () => {
  const small = task(plain, [null, 3, 1, 2]);
  const good = b64(2, 1, Uint8Array.of(1, 2, 3, 4, 5, 6));

  it.each([
    ["text", "ATPATCH_BAD_INPUT", 'instances[1]: expected {"b64": "<image>"} or nested numbers [3, 1, 2]'],
    [
      { b46: "" },
      "ATPATCH_BAD_INPUT",
      'instances[1]: expected {"b64": "<image>"} or nested numbers [3, 1, 2]',
    ],
    [{ b64: "aGk=", url: "x" }, "ATPATCH_BAD_INPUT", 'instances[1]: "url" is unknown, expected b64 alone'],
    [{ b64: "#" }, "ATPATCH_BAD_INPUT", "instances[1].b64: is not base64"],
    [{ b64: "aGVsbG8=" }, "ATPATCH_BAD_INPUT", "instances[1]: is not a PNG, JPEG or WebP image"],
    [[[[1, 2]]], "ATPATCH_UNPROCESSABLE", "instances[1]: has shape [1, 1, 2], the model takes [3, 1, 2]"],
    [
      [[[1, 2]], [[1]], [[1, 2]]],
      "ATPATCH_BAD_INPUT",
      "instances[1][1][0]: ragged lists: expected a list of 2",
    ],
  ])("names the instance: %j", async (instance, code, message) => {
    const error = await failure(small.prepare([await good, instance]));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  it("reports the first of several faults", async () => {
    const error = await failure(small.prepare([await good, { b64: "####" }, "x", { b64: "" }]));
    expect(error.message).toMatch(/^instances\[1\]/);
  });

  it("says what size is left after preprocessing", async () => {
    const error = await failure(small.prepare([await b64(1, 2, new Uint8Array(6))]));
    expect(error).toMatchObject({
      code: "ATPATCH_UNPROCESSABLE",
      message: "instances[0]: has 1 × 2 pixels after preprocessing, the model takes 2 × 1",
    });
  });

  it("limits the number of instances and refuses none", async () => {
    const limited = task(plain, [null, 3, 1, 2], { instanceLimit: 1 });
    expect((await failure(limited.prepare([]))).message).toBe("instances: expected at least one instance");
    expect((await failure(limited.prepare([1, 2]))).message).toBe("instances: at most 1 at once, got 2");
    expect((await failure(task(plain, [1, 3, 1, 2]).prepare([1, 2]))).message).toBe(
      "instances: the model takes exactly 1 at once, got 2",
    );
  });
});

describe("places of columns", () => {
  it("maps key columns to patches and boxes of the model's picture", async () => {
    const grid = { kind: "grid", firstKey: 1, rows: 2, columns: 3 } as const;
    const located = task({ ...plain, do_resize: true, size: [8, 12] }, [null, 3, 8, 12], { grid });
    expect(located.layout).toEqual(grid);
    const prepared = await located.prepare([await b64(5, 5, new Uint8Array(75))]);
    expect(prepared.locate(0, 0)).toBeNull();
    expect(prepared.locate(0, 1)).toEqual({ patch: [0, 0], box: [0, 0, 4, 4] });
    expect(prepared.locate(0, 6)).toEqual({ patch: [1, 2], box: [8, 4, 4, 4] });
    expect(prepared.locate(0, 7)).toBeNull();
  });

  it("has a sequence and no places without a grid", async () => {
    const plainTask = task(plain, [null, 3, 1, 1], { firstKey: 0 });
    expect(plainTask.layout).toEqual({ kind: "sequence", firstKey: 0 });
    expect((await plainTask.prepare([[[[1]], [[1]], [[1]]]])).locate(0, 1)).toBeNull();
  });
});

describe("createImageTask", () => {
  it.each([
    [{ size: 8 }, [null, 3, 4, 4], "FP32", "makes 8 × 8 pixels, the model takes 4 × 4"],
    [
      { size: 4 },
      [null, 3, 4, 4],
      "UINT8",
      'makes floating-point values, the model\'s input "pixel_values" is UINT8',
    ],
    [plain, [null, 3, 4, 4], "INT64", "makes floating-point values"],
    [plain, [null, 7, 4, 4], "FP32", 'input "pixel_values" has shape [any, 7, 4, 4], which is no picture'],
  ] as const)("refuses preprocessing that does not fit the model: %#", (config, shape, datatype, message) => {
    expect(() => task(config, shape, {}, datatype)).toThrow(message);
  });

  it.each([
    [[null, 3, 8, 9], { order: "channels_first", channels: 3, height: 8, width: 9 }],
    [[1, null, null, null], { order: "channels_first", channels: 3, height: null, width: null }],
    [[null, 8, 9, 1], { order: "channels_last", channels: 1, height: 8, width: 9 }],
    [[null, 3, 8], null],
    [[null, 3, 8, 8, 8], null],
  ])("reads an input of shape %j", (shape, expected) => {
    const read = imageInput({ name: "x", datatype: "FP32", shape });
    if (expected) expect(read).toMatchObject(expected);
    else expect(read).toBeNull();
  });
});
