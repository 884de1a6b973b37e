/** One suite for every encoding of the Open Inference Protocol: the same requests must get the same answers. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bytesElements, bytesTensor, writeRaw } from "../shared/raw-tensor.ts";
import {
  datatypes,
  float32,
  tensor,
  type NumericDatatype,
  type Tensor,
  type TypedArray,
} from "../shared/tensor.ts";
import { createDrivers, type OipDriver, type PlainRequest, type PlainTensor } from "../test/oip-drivers.ts";
import { markDetector, tinyLabels, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const encodings = [
  "REST with JSON",
  "REST with binary data",
  "REST with both",
  "gRPC with raw contents",
  "gRPC with typed contents",
];

/** Two samples of every datatype, with the numbers that are easily lost. */
const extremes = {
  BOOL: [1, 0, 0, 1],
  UINT8: [0, 255, 1, 128],
  UINT16: [0, 65_535, 1, 32_768],
  UINT32: [0, 4_294_967_295, 1, 2_147_483_648],
  UINT64: [0n, 2n ** 64n - 1n, 2n ** 53n + 1n, 7n],
  INT8: [-128, 127, -1, 0],
  INT16: [-32_768, 32_767, -1, 0],
  INT32: [-2_147_483_648, 2_147_483_647, -1, 0],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n, -(2n ** 53n) - 1n, 42n],
  FP32: [-0, 3.4028234663852886e38, 1.401298464324817e-45, 0.1],
  FP64: [-0, Number.MAX_VALUE, 5e-324, 0.1],
  FP16: [0x8000, 0x7bff, 0x0001, 0x3555],
} satisfies Partial<Record<NumericDatatype, readonly (number | bigint)[]>>;
type Echoed = keyof typeof extremes;
const halfless = Object.keys(extremes).filter((datatype) => datatype !== "FP16") as Echoed[];

const extremeTensor = (datatype: Echoed): Tensor => {
  const data: TypedArray = new datatypes[datatype](4);
  for (const [at, value] of extremes[datatype].entries()) data[at] = value;
  return tensor(datatype, [2, 2], data);
};
const marked = tinySample({ 3: 8 });
const x = (...samples: number[][][]): PlainTensor => ({
  name: "x",
  tensor: float32([samples.length, 5, 4], samples.flat(2)),
});
const input = (name: string, value: PlainTensor["tensor"]): PlainTensor => ({ name, tensor: value });

interface Served {
  readonly server: TinyServer;
  readonly drivers: readonly OipDriver[];
  readonly detector: string;
}

async function serveTiny(echo: readonly NumericDatatype[]): Promise<Served> {
  const server = await tinyServer({ echo });
  const { registry, engine } = server.model;
  const { id: detector } = await registry.upload(markDetector(engine.description), { actor: "test" });
  await registry.activate(detector, { actor: "test" });
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  const drivers = await createDrivers(server, await server.grpc.listen("127.0.0.1", 0));
  return { server, drivers, detector };
}

let plain: Served;
let echo: Served;
let half: Served;
beforeAll(async () => {
  [plain, echo, half] = await Promise.all([serveTiny([]), serveTiny(halfless), serveTiny(["FP16"])]);
});
afterAll(async () => {
  for (const { server, drivers } of [plain, echo, half]) {
    for (const driver of drivers) driver.close();
    await server.close();
  }
});

describe.each(encodings)("%s", (encoding) => {
  const driverOf = ({ drivers }: Served): OipDriver => drivers.find(({ name }) => name === encoding)!;
  const ask = (request: PlainRequest, served: Served = plain) => driverOf(served).infer(request);

  it("answers with the outputs, what was done, and the caller's id", async () => {
    const answer = await ask({ id: "42", version: "1", inputs: [x(tinySample(), marked)] });
    expect(answer).toMatchObject({ code: "OK", model: "tiny", version: "1", id: "42" });
    expect(answer.parameters).toEqual({
      atpatch_detector: plain.detector,
      atpatch_mode: "enforce",
      atpatch_triggered: "0,1",
      atpatch_revision: 1,
    });
    const [logits] = answer.outputs!;
    expect(logits).toMatchObject({ name: "logits", tensor: { datatype: "FP32", shape: [2, 3] } });
    expect((logits!.tensor.data as Float32Array)[0]).toBeCloseTo(0, 5);
    expect(answer.headers).toMatchObject({
      "x-atpatch-detector": plain.detector,
      "x-atpatch-triggered": "1/2",
    });
    expect(answer.headers["x-request-id"]).toMatch(/^[\w-]{36}$/);
    expect(answer.headers["server-timing"]).toMatch(/queue;dur=\d+.*infer;dur=\d+.*total;dur=\d+/);
  });

  it("leaves out an id that was not given, and honours the mode", async () => {
    const answer = await ask({ parameters: { atpatch_mode: "off", priority: 1 }, inputs: [x(marked)] });
    expect(answer.id).toBeUndefined();
    expect(answer.parameters).toMatchObject({ atpatch_mode: "off", atpatch_triggered: "0" });
  });

  it.each(halfless)("returns %s bit for bit", async (datatype) => {
    const inputs = halfless.map((each) => input(`in_${each}`, extremeTensor(each)));
    const answer = await ask(
      {
        inputs: [x(tinySample(), tinySample()), ...inputs],
        outputs: [{ name: `out_${datatype}`, datatype }, { name: "logits" }],
      },
      echo,
    );
    expect(answer).toMatchObject({ code: "OK" });
    expect(answer.outputs!.map(({ name }) => name)).toEqual([`out_${datatype}`, "logits"]);
    const [output] = answer.outputs!;
    expect(output!.tensor).toMatchObject({ datatype, shape: [2, 2] });
    expect(Buffer.from(writeRaw(output!.tensor))).toEqual(Buffer.from(writeRaw(extremeTensor(datatype))));
  });

  // Typed contents have no field for it.
  it.skipIf(encoding === "gRPC with typed contents")("returns FP16 bit for bit", async () => {
    const answer = await ask(
      {
        inputs: [x(tinySample(), tinySample()), input("in_FP16", extremeTensor("FP16"))],
        outputs: [{ name: "out_FP16", datatype: "FP16" }],
      },
      half,
    );
    expect(answer.outputs![0]!.tensor).toEqual(extremeTensor("FP16"));
  });

  it("answers with classes: value, index and label, the largest first", async () => {
    const answer = await ask({
      inputs: [x(marked, tinySample())],
      outputs: [{ name: "logits", datatype: "BYTES", parameters: { classification: 2 } }],
    });
    const [output] = answer.outputs!;
    expect(output!.tensor).toMatchObject({ datatype: "BYTES", shape: [2, 2] });
    const texts = bytesElements(bytesTensorOf(output!)).map((bytes) => Buffer.from(bytes).toString());
    expect(texts).toHaveLength(4);
    for (const [at, text] of texts.entries()) {
      const [value, index, label] = text.split(":");
      expect(Number(value)).not.toBeNaN();
      expect(label).toBe(tinyLabels[Number(index)]);
      if (at % 2 === 1) expect(Number(value)).toBeLessThanOrEqual(parseFloat(texts[at - 1]!));
    }
  });

  it.each([
    ["an unknown model", { model: "none", inputs: [x(marked)] }, "ATPATCH_UNKNOWN_MODEL", /no model "none"/],
    ["an unknown version", { version: "7", inputs: [x(marked)] }, "ATPATCH_UNKNOWN_MODEL", /no version "7"/],
    [
      "an input twice",
      { inputs: [x(marked), x(marked)] },
      "ATPATCH_BAD_INPUT",
      /inputs\[1\]\.name: "x" is there twice/,
    ],
    [
      "an unknown input",
      { inputs: [input("y", extremeTensor("FP32"))] },
      "ATPATCH_BAD_INPUT",
      /no input "y", only x/,
    ],
    [
      "another datatype",
      { inputs: [input("x", extremeTensor("INT64"))] },
      "ATPATCH_UNPROCESSABLE",
      /takes FP32 \[any, 5, 4\], got INT64 \[2, 2\]/,
    ],
    [
      "texts",
      { inputs: [input("x", bytesTensor([2], [Buffer.from("a"), Buffer.from("")]))] },
      "ATPATCH_UNPROCESSABLE",
      /takes FP32 \[any, 5, 4\], got BYTES \[2\]/,
    ],
    [
      "another shape",
      { inputs: [input("x", float32([1, 4], [1, 2, 3, 4]))] },
      "ATPATCH_UNPROCESSABLE",
      /got FP32 \[1, 4\]/,
    ],
    [
      "too many samples",
      { inputs: [x(...Array.from({ length: 9 }, () => marked))] },
      "ATPATCH_UNPROCESSABLE",
      /expected 1 to 8 samples, got 9/,
    ],
    [
      "an unknown output",
      { inputs: [x(marked)], outputs: [{ name: "z" }] },
      "ATPATCH_BAD_INPUT",
      /no output "z", only logits/,
    ],
    [
      "an output twice",
      { inputs: [x(marked)], outputs: [{ name: "logits" }, { name: "logits" }] },
      "ATPATCH_BAD_INPUT",
      /outputs\[1\]\.name: "logits" is there twice/,
    ],
    [
      "an unknown mode",
      { inputs: [x(marked)], parameters: { atpatch_mode: "on" } },
      "ATPATCH_BAD_INPUT",
      /parameters\.atpatch_mode: expected one of/,
    ],
    [
      "an unknown parameter",
      { inputs: [x(marked)], parameters: { atpatch_speed: 1 } },
      "ATPATCH_BAD_INPUT",
      /parameters\.atpatch_speed: there is no such/,
    ],
    [
      "no classes",
      { inputs: [x(marked)], outputs: [{ name: "logits", parameters: { classification: 0 } }] },
      "ATPATCH_BAD_INPUT",
      /outputs\[0\]\.parameters\.classification: expected a whole number from 1/,
    ],
    [
      "a time-out that is over",
      { inputs: [x(marked)], parameters: { timeout: 1 } },
      "ATPATCH_DEADLINE",
      /the deadline passed/,
    ],
  ] as const satisfies [string, PlainRequest, string, RegExp][])(
    "refuses %s",
    async (_what, request, code, error) => {
      const answer = await ask(request);
      expect(answer.code, answer.error).toBe(code);
      expect(answer.error).toMatch(error);
      expect(answer.headers["x-request-id"]).toBeTruthy();
    },
  );
});

function bytesTensorOf({ tensor: output }: PlainTensor) {
  if (output.datatype !== "BYTES") throw new Error("these are no texts");
  return output;
}
