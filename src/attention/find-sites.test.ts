import { describe, expect, it } from "vitest";
import { encodeModel } from "../onnx/codec.ts";
import { DataType, type ModelProto } from "../onnx/model.ts";
import { validateModel } from "../onnx/validate.ts";
import { expectMaps, mapsOf } from "../test/site-maps.ts";
import {
  comparable,
  committedFixtures,
  fixture,
  fixturesIn,
  skeletonOf,
  truthOf,
  zooFolder,
  type Fixture,
} from "../test/zoo.ts";
import { findSites } from "./find-sites.ts";
import type { AttentionSite } from "./site.ts";

const plainForms = new Set(["softmax", "exp-sum-div"]);

/** Supported models whose maps all lie open in the main graph or an If. */
function isPlain({ verdict, sites }: Fixture): boolean {
  return (
    verdict === "supported" && sites.every(({ form, where }) => plainForms.has(form) && where !== "function")
  );
}

function isRefusal({ name, verdict }: Fixture): boolean {
  return verdict === "refuse" && name.startsWith("neg_");
}

async function checkSitesAndMaps(of: Fixture): Promise<void> {
  const { model, sites } = checkSites(of);
  const main = sites.filter(({ where }) => where === "main");
  if (main.length !== sites.length) return;
  const found = await mapsOf(of, model, main);
  expect(found).toHaveLength(main.length);
  // Their tensors are compared by name as well.
  expectMaps(found, await truthOf(of), (site) =>
    main[site]?.elementType === DataType.FLOAT16 ? 5e-3 : 2e-5,
  );
}

function checkSites(of: Fixture): { model: ModelProto; sites: readonly AttentionSite[] } {
  const model = skeletonOf(of);
  validateModel(model);
  const before = encodeModel(model);
  const { sites } = findSites(model);
  expect(Buffer.compare(encodeModel(model), before)).toBe(0);
  expect(sites.map((site) => comparable(site))).toEqual(of.sites.map((site) => comparable(site)));
  const main = sites.filter(({ where }) => where === "main");
  if (main.length === sites.length) {
    expect(sites.map(({ map }) => map)).toEqual(of.sites.map(({ prob_tensor }) => prob_tensor));
  }
  for (const [i, { queries, keys, node }] of sites.entries()) {
    const truth = of.sites[i];
    expect([queries ?? truth?.tq, keys ?? truth?.tk]).toEqual([truth?.tq, truth?.tk]);
    if (truth?.node && truth.where === "main") expect(node).toBe(truth.node);
  }
  return { model, sites };
}

function checkRefusal(of: Fixture): void {
  const model = skeletonOf(of);
  validateModel(model);
  const { sites, nearMisses } = findSites(model);
  expect(sites).toEqual([]);
  expect(nearMisses[0]?.reason ?? "").not.toBe("");
}

describe("findSites on committed fixtures", () => {
  const all = fixturesIn(committedFixtures);
  it.each(all.filter(isPlain))("finds the sites of $name and their maps", checkSitesAndMaps);
  it.each(all.filter(isRefusal))("finds no site in $name and says why", checkRefusal);

  it("tells which sites see the same keys", () => {
    const axes = (name: string): number[] =>
      findSites(skeletonOf(fixture(name))).sites.map(({ axis }) => axis);
    expect(axes("mha_ts17_weights")).toEqual([0, 1]);
    expect(axes("ft_transformer_ts17")).toEqual([0, 0]);
    expect(axes("unknown_fields_metadata")).toEqual([0, 0]);
  });

  it("lists both products of a map, and the one reader of each", () => {
    const [site] = findSites(skeletonOf(fixture("dropout_two_consumers"))).sites;
    expect(site?.products).toHaveLength(2);
    expect(site?.mapReaders.map(({ node, input }) => [node.opType, input])).toEqual([
      ["MatMul", 0],
      ["MatMul", 0],
    ]);
  });

  it("says how values lie that are no [B, H, Tk, d]", () => {
    const [keras] = findSites(skeletonOf(fixture("keras_einsum"))).sites;
    expect(keras?.products[0]?.valuePermutation).toEqual([0, 2, 1, 3]);
    const [folded] = findSites(skeletonOf(fixture("ft_transformer_ts17"))).sites;
    expect(folded?.products[0]).toMatchObject({ leading: "B*H", valuePermutation: null });
  });

  it("says what masks the scores", () => {
    const masks = (name: string): string[] =>
      findSites(skeletonOf(fixture(name))).sites.map(({ mask }) => mask);
    expect(masks("mha_ts17_weights")).toEqual(["none", "Add memory_pad"]);
    expect(masks("fp32_softmax_cast_fp16_ts17")).toEqual(["causal Where"]);
  });
});

const zoo = zooFolder();
describe.skipIf(zoo === null)("findSites on the whole collection", () => {
  const all = zoo === null ? [] : fixturesIn(zoo);
  it.each(all.filter(isPlain))("finds the sites of $name and their maps", checkSitesAndMaps);
  it.each(all.filter(isRefusal))("finds no site in $name and says why", checkRefusal);
});
