import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { validateModel } from "../onnx/validate.ts";
import { attentionGraph, heads, type AttentionChoices } from "../test/attention-graphs.ts";
import { GraphBuilder } from "../test/graph-builder.ts";
import type { ModelProto } from "../onnx/model.ts";
import { findSites } from "./find-sites.ts";

const choices: fc.Arbitrary<AttentionChoices> = fc
  .record({
    opset: fc.constantFrom(7, 8, 9, 10, 11, 13, 17, 18),
    layout: fc.constantFrom("B,H", "B*H", "H*B", "columns", "keras", "flat rows"),
    scale: fc.constantFrom("none", "mul", "div", "both sides"),
    mask: fc.constantFrom("none", "add", "where", "causal"),
    after: fc.subarray(["dropout", "guard", "cast", "gate", "quantise"] as const),
    normalise: fc.constantFrom("softmax", "exp"),
    source: fc.constantFrom("self", "cross", "learned"),
    dynamic: fc.boolean(),
  } as const)
  // Einsum exists since opset 12; before 13 a softmax over columns is none per row.
  .filter(({ opset, layout }) => opset >= 13 || (layout !== "keras" && layout !== "columns"))
  // Where and IsNaN came with opset 9, Expand with 8.
  .filter(({ opset, mask, after, source }) => {
    const late = mask === "where" || after.includes("guard");
    return (opset >= 9 || !late) && (opset >= 8 || source !== "learned");
  })
  // Slice takes its bounds as inputs since opset 10, which also brought QuantizeLinear.
  .filter(({ opset, layout, after }) => opset >= 10 || (layout !== "H*B" && !after.includes("quantise")));

describe("findSites on generated graphs", () => {
  it("finds the one site whatever the layout, scale, mask, guards and opset", () => {
    fc.assert(
      fc.property(choices, (chosen) => {
        const { model, map } = attentionGraph(chosen);
        validateModel(model);
        const { sites, nearMisses } = findSites(model);
        expect(nearMisses.map(({ reason }) => reason)).toEqual([]);
        expect(sites).toHaveLength(1);
        const [site] = sites;
        if (!site) return;
        expect(site.map).toBe(map);
        expect(site.kind).toBe(chosen.source === "self" ? "self" : "cross");
        expect(site.heads).toBe(heads);
        expect(site.leading).toBe(chosen.layout === "B*H" || chosen.layout === "H*B" ? chosen.layout : "B,H");
        if (chosen.layout !== "columns") expect(site.causal).toBe(chosen.mask === "causal");
        expect(site.keys).toBe(chosen.source === "self" ? 5 : 7);
        expect(site.queries).toBe(chosen.source === "learned" ? 3 : 5);
        expect(site.mapReaders).toHaveLength(1);
        expect(site.form).toBe(chosen.normalise === "softmax" ? "softmax" : "exp-sum-div");
      }),
      { numRuns: 150 },
    );
  });
});

/** Queries, keys and values [B, 2, 5, 4] of one input, and what a near miss makes of them. */
function nearMiss(
  build: (g: GraphBuilder, q: string, k: string, v: string) => string,
  opset = 17,
): ModelProto {
  const g = new GraphBuilder();
  const bring = (): string => {
    const flat = g.op("MatMul", ["x", g.weight(8, 8)]);
    return g.op("Transpose", [g.op("Reshape", [flat, g.ints(0, 0, 2, 4)])], { perm: [0, 2, 1, 3] });
  };
  const model = g.model(build(g, bring(), bring(), bring()), { x: ["batch", 5, 8] }, opset);
  validateModel(model);
  return model;
}

const swap = { perm: [0, 1, 3, 2] };
const scoresOf = (g: GraphBuilder, q: string, k: string): string =>
  g.op("MatMul", [q, g.op("Transpose", [k], swap)]);

describe("findSites on near misses", () => {
  const cases: readonly [string, RegExp, (g: GraphBuilder, q: string, k: string, v: string) => string][] = [
    [
      "a softmax over queries",
      /not over the axis they sum to one over/,
      (g, q, k, v) => g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: 2 }), v]),
    ],
    [
      "a softmax over heads",
      /not over the axis they sum to one over/,
      (g, q, k, v) => g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: 1 }), v]),
    ],
    [
      "constant values",
      /values are constants/,
      (g, q, k) => g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 }), g.weight(1, 2, 5, 4)]),
    ],
    [
      "constant keys",
      /weight matrix or constant keys/,
      (g, q, _, v) =>
        g.op("MatMul", [g.op("Softmax", [g.op("MatMul", [q, g.weight(1, 2, 4, 5)])], { axis: -1 }), v]),
    ],
    [
      "scores of a dense layer over tokens",
      /weight matrix/,
      (g, _, k, v) => {
        const rows = g.op("Transpose", [g.op("MatMul", [k, g.weight(4, 3)])], swap);
        return g.op("MatMul", [g.op("Softmax", [rows], { axis: -1 }), v]);
      },
    ],
    [
      "element-wise scores",
      /weight matrix/,
      (g, q, k, v) => {
        const scores = g.op(
          "Concat",
          [g.op("Tanh", [q]), g.op("Slice", [k, g.ints(0), g.ints(1), g.ints(3)])],
          { axis: 3 },
        );
        return g.op("MatMul", [g.op("Softmax", [scores], { axis: -1 }), v]);
      },
    ],
    [
      "heads mixed after the softmax",
      /mixed across heads/,
      (g, q, k, v) => {
        const last = g.op("Transpose", [g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 })], {
          perm: [0, 2, 3, 1],
        });
        return g.op("MatMul", [
          g.op("Transpose", [g.op("MatMul", [last, g.weight(2, 2)])], { perm: [0, 3, 1, 2] }),
          v,
        ]);
      },
    ],
    [
      "two maps subtracted from each other",
      /another tensor is added/,
      (g, q, k, v) => {
        const [a, b] = [
          g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 }),
          g.op("Softmax", [scoresOf(g, k, q)], { axis: -1 }),
        ];
        return g.op("MatMul", [g.op("Sub", [a, b]), v]);
      },
    ],
    [
      "an element-wise weighted sum",
      /element by element/,
      (g, q, k, v) => {
        const map = g.op("Unsqueeze", [g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 }), g.ints(4)]);
        return g.op("ReduceSum", [g.op("Mul", [map, g.op("Unsqueeze", [v, g.ints(2)])]), g.ints(3)], {
          keepdims: 0,
        });
      },
    ],
    [
      "keys merged with queries before the values",
      /key axis is merged/,
      (g, q, k, v) => {
        const flat = g.op("Reshape", [g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 }), g.ints(0, 2, 25)]);
        const rows = g.op("Reshape", [flat, g.ints(0, 2, 5, 5)]);
        return g.op("MatMul", [g.op("Transpose", [rows], swap), v]);
      },
    ],
  ];

  it.each(cases)("does not take %s for a site", (_, reason, build) => {
    const { sites, nearMisses } = findSites(nearMiss(build));
    expect(sites).toEqual([]);
    expect(nearMisses[0]?.reason).toMatch(reason);
  });

  it("does not take a softmax that flattens (opset below 13, axis 1) for a site", () => {
    const flat = nearMiss(
      (g, q, k, v) => g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: 1 }), v]),
      11,
    );
    expect(findSites(flat).nearMisses[0]?.reason).toMatch(/all axes from 1 on/);
    const rows = nearMiss(
      (g, q, k, v) => g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: 3 }), v]),
      11,
    );
    expect(findSites(rows).sites).toHaveLength(1);
  });

  it("takes the graph they are made from for a site", () => {
    const whole = nearMiss((g, q, k, v) =>
      g.op("MatMul", [g.op("Softmax", [scoresOf(g, q, k)], { axis: -1 }), v]),
    );
    expect(findSites(whole).sites).toHaveLength(1);
  });
});
