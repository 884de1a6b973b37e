import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Tensor, TensorInfo } from "../shared/tensor.ts";
import { createClassScores, rank, scoreOutput, softmax, type ScoreSource } from "./class-scores.ts";
import { parseHfConfig } from "./hf-config.ts";

const source = (more: Partial<ScoreSource> = {}): ScoreSource => ({
  config: null,
  settings: {},
  labels: null,
  ...more,
});
const output = (name: string, ...shape: (number | null)[]): TensorInfo => ({ name, datatype: "FP32", shape });
const answer = (shape: number[], ...values: number[]): Record<string, Tensor> => ({
  logits: { datatype: "FP32", shape, data: Float32Array.from(values) },
});
const multiLabel = parseHfConfig({ problem_type: "multi_label_classification" });

describe("scoreOutput", () => {
  const hidden = output("last_hidden_state", null, 8, 16);
  const pooled = output("pooled", null, 16);
  it.each([
    [{}, [hidden, pooled, output("logits", null, 2)], "logits"],
    [{}, [hidden, pooled], "pooled"],
    [{}, [hidden, { ...pooled, datatype: "INT64" }, output("p", null)], "p"],
    [{}, [hidden], undefined],
    [{ output: { name: "pooled" } }, [pooled, output("logits", null, 2)], "pooled"],
  ] as const)("picks the output: %#", (settings, outputs, name) => {
    expect(scoreOutput(source({ settings }), outputs)?.name).toBe(name);
  });

  it("refuses a name the model does not have", () => {
    expect(() => scoreOutput(source({ settings: { output: { name: "probs" } } }), [pooled])).toThrow(
      "atpatch.json: output.name: the model has pooled, not probs",
    );
  });
});

describe("createClassScores", () => {
  it("makes softmax probabilities, best first, cut at top_k", () => {
    const scores = createClassScores(source({ labels: ["a", "b", "c"] }), [output("logits", null, 3)]);
    const [first, second] = scores.predict(answer([2, 3], 0, Math.log(2), Math.log(5), 3, 1, 2), 2, 2);
    expect(first).toEqual({
      label: "c",
      index: 2,
      score: expect.closeTo(5 / 8, 6) as number,
      probabilities: { c: expect.closeTo(5 / 8, 6) as number, b: expect.closeTo(2 / 8, 6) as number },
    });
    expect(Object.keys(first!.probabilities)).toEqual(["c", "b"]);
    expect(second?.label).toBe("a");
  });

  it("makes independent probabilities for several labels", () => {
    const scores = createClassScores(source({ config: multiLabel, labels: ["x", "y"] }), [
      output("logits", null, 2),
    ]);
    const [prediction] = scores.predict(answer([1, 2], 0, Math.log(3)), 1, 5);
    expect(prediction).toMatchObject({ label: "y", index: 1 });
    expect(prediction?.probabilities.x).toBeCloseTo(0.5, 6);
    expect(prediction?.probabilities.y).toBeCloseTo(0.75, 6);
  });

  it.each([[[2, 1]], [[2]]])("reads a single score of shape %j as two classes", (shape) => {
    const scores = createClassScores(source({ labels: ["bad", "good"] }), [
      output("logits", ...shape.map((dim, axis) => (axis === 0 ? null : dim))),
    ]);
    const predictions = scores.predict(answer(shape, Math.log(3), -Math.log(3)), 2, 2);
    expect(predictions.map(({ label, score }) => [label, Number(score.toFixed(6))])).toEqual([
      ["good", 0.75],
      ["bad", 0.75],
    ]);
    expect(scores.logits(answer(shape, 2, -1), 2)).toEqual([Float32Array.of(0, 2), Float32Array.of(0, -1)]);
  });

  it("reads a single score of a multi-label model as two classes all the same", () => {
    const scores = createClassScores(source({ config: multiLabel, labels: ["x"] }), [
      output("logits", null, 1),
    ]);
    expect(scores.predict(answer([1, 1], Math.log(3)), 1, 2)[0]?.probabilities).toEqual({
      x: expect.closeTo(0.75, 6) as number,
      "not x": expect.closeTo(0.25, 6) as number,
    });
  });

  it("names the classes when nothing does", () => {
    expect(createClassScores(source(), [output("logits", null, 3)]).labels).toEqual(["0", "1", "2"]);
    expect(createClassScores(source(), [output("logits", null, 1)]).labels).toEqual(["0", "1"]);
    expect(createClassScores(source({ labels: ["spam"] }), [output("logits", null, 1)]).labels).toEqual([
      "not spam",
      "spam",
    ]);
    const open = createClassScores(source(), [output("logits", null, null)]);
    expect(open.predict(answer([1, 2], 0, 1), 1, 1)[0]?.label).toBe("1");
  });

  it("takes outputs as probabilities only when told", () => {
    const settings = { output: { kind: "probabilities" } } as const;
    const told = createClassScores(source({ settings }), [output("logits", null, 2)]);
    expect(told.predict(answer([1, 2], 0.2, 0.8), 1, 1)[0]?.score).toBeCloseTo(0.8, 5);
    const untold = createClassScores(source(), [output("logits", null, 2)]);
    expect(untold.predict(answer([1, 2], 0.2, 0.8), 1, 1)[0]?.score).toBeCloseTo(1 / (1 + Math.exp(-0.6)), 5);
    const single = createClassScores(source({ settings }), [output("logits", null, 1)]);
    expect(single.predict(answer([1, 1], 0.2), 1, 1)[0]).toMatchObject({
      index: 0,
      score: expect.closeTo(0.8, 5) as number,
    });
    const several = createClassScores(source({ settings, config: multiLabel }), [output("logits", null, 2)]);
    expect(several.predict(answer([1, 2], 0.3, 1), 1, 2)[0]?.probabilities).toEqual({
      "0": expect.closeTo(0.3, 5) as number,
      "1": expect.closeTo(1, 5) as number,
    });
  });

  it("reads half-precision scores", () => {
    const scores = createClassScores(source(), [{ ...output("logits", null, 2), datatype: "FP16" }]);
    const outputs = {
      logits: { datatype: "FP16", shape: [1, 2], data: Uint16Array.of(0x3c00, 0xc000) },
    } as const;
    expect(scores.logits(outputs, 1)).toEqual([Float32Array.of(1, -2)]);
  });

  it.each([
    [{}, "the model has no output with class scores to predict from"],
    [
      answer([1, 2, 3], 1, 2, 3, 4, 5, 6),
      'output "logits" has shape [1, 2, 3], class scores need [1, classes]',
    ],
    [answer([2, 1], 1, 2), 'output "logits" has shape [2, 1], class scores need [1, classes]'],
    [answer([1, 2], 1, NaN), "instances[0]: the model's scores are not finite"],
  ])("says why there is no prediction: %#", (outputs, message) => {
    const scores = createClassScores(source(), [output("logits", null, 2)]);
    expect(() => scores.predict(outputs, 1, 1)).toThrow(message);
  });

  it("refuses labels that do not match the classes", () => {
    expect(() => createClassScores(source({ labels: ["a"] }), [output("logits", null, 2)])).toThrow(
      "the model has 2 classes, but 1 labels are given",
    );
  });
});

describe("softmax and rank", () => {
  const anyLogits = fc.array(fc.float({ min: -(2 ** 99), max: 2 ** 99, noNaN: true }), {
    minLength: 1,
    maxLength: 8,
  });
  it("adds up to one and keeps the order, however large the scores", () => {
    fc.assert(
      fc.property(anyLogits, fc.integer({ min: 0, max: 10 }), (logits, topK) => {
        const probabilities = softmax(logits);
        expect(probabilities.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 10);
        const prediction = rank(Float32Array.from(logits), [], "softmax", topK);
        expect(logits[prediction.index]).toBe(Math.max(...logits));
        const listed = Object.values(prediction.probabilities);
        expect(listed).toHaveLength(Math.min(logits.length, Math.max(1, topK)));
        expect(Math.max(...listed)).toBe(prediction.score);
      }),
    );
  });

  it("gives ties to the lower index and keeps labels that objects have already", () => {
    expect(rank(Float32Array.of(1, 1), ["__proto__", "b"], "softmax", 2)).toMatchObject({
      label: "__proto__",
      index: 0,
    });
    expect(Object.keys(rank(Float32Array.of(1, 1), ["__proto__", "b"], "softmax", 2).probabilities)).toEqual([
      "__proto__",
      "b",
    ]);
  });
});
