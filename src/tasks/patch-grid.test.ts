import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SiteDescription } from "../shared/patched-model.ts";
import { parseHfConfig } from "./hf-config.ts";
import { locatePatch, patchGrid } from "./patch-grid.ts";

const site = (keys: number | null, axis = 0): SiteDescription => ({
  index: 0,
  layer: 0,
  kind: "self",
  form: "softmax",
  rank: 4,
  dims: "B,H,Tq,Tk",
  heads: 1,
  keys,
  where: "main",
  axis,
  node: "softmax",
  mask: "none",
});
const size = (height: number, width: number): { height: number; width: number } => ({ height, width });

describe("patchGrid", () => {
  it.each([
    ["input and patch size, [CLS] assumed", { patch_size: 4 }, {}, size(32, 48), [], [8, 12, 1]],
    ["what keys leave over is in front", { patch_size: 4 }, {}, size(32, 32), [site(64)], [8, 8, 0]],
    ["a distillation token counts", { patch_size: 16 }, {}, size(224, 224), [site(198)], [14, 14, 2]],
    ["the first key as told", { patch_size: 4 }, { firstKey: 0 }, size(8, 8), [site(5)], [2, 2, 0]],
    ["image_size when the input varies", { patch_size: [4, 8], image_size: 32 }, {}, null, [], [8, 4, 1]],
    [
      "vision_config of a composed model",
      { vision_config: { patch_size: 8 } },
      {},
      size(16, 16),
      [],
      [2, 2, 1],
    ],
    ["the grid as told", {}, { grid: [3, 5] }, null, [site(16)], [3, 5, 1]],
    ["the square root of the keys", {}, {}, size(32, 32), [site(65)], [8, 8, 1]],
    ["keys of the first axis only", {}, {}, null, [site(50, 1), site(17)], [4, 4, 1]],
    ["edges that no whole patch covers", { patch_size: 5 }, {}, size(32, 32), [], [6, 6, 1]],
  ])("takes %s", (_, config, settings, input, sites, [rows, columns, firstKey]) => {
    expect(patchGrid({ config: parseHfConfig(config), settings }, input, { sites })).toEqual({
      kind: "grid",
      rows,
      columns,
      firstKey,
    });
  });

  it.each([
    ["nothing tells it", {}, {}, size(32, 32), []],
    ["fewer keys than patches", { patch_size: 4 }, {}, size(32, 32), [site(17)]],
    [
      "one key is missing for the told first key",
      { patch_size: 4 },
      { firstKey: 1 },
      size(32, 32),
      [site(64)],
    ],
    ["keys are far from a square", {}, {}, null, [site(55)]],
    ["keys and first key leave no square", {}, { firstKey: 0 }, null, [site(65)]],
    ["patches differ by stage", { patch_size: [7, 3, 3] }, {}, size(32, 32), []],
    ["the patch is larger than the picture", { patch_size: 64 }, {}, size(32, 32), []],
  ])("is none when %s", (_, config, settings, input, sites) => {
    expect(patchGrid({ config: parseHfConfig(config), settings }, input, { sites })).toBeNull();
  });
});

describe("locatePatch", () => {
  it("tiles the picture: every column behind the first key has its own patch", () => {
    const small = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(small, small, small, fc.nat(4), (rows, columns, patch, firstKey) => {
        const image = size(rows * patch, columns * patch);
        const covered = new Set<string>();
        for (let column = 0; column < firstKey + rows * columns + 3; column++) {
          const place = locatePatch({ kind: "grid", rows, columns, firstKey }, image, column);
          if (!place || !("box" in place)) continue;
          const [x, y, width, height] = place.box;
          expect([width, height, x / patch, y / patch]).toEqual([
            patch,
            patch,
            place.patch[1],
            place.patch[0],
          ]);
          covered.add(String(place.patch));
        }
        expect(covered.size).toBe(rows * columns);
      }),
    );
  });
});
