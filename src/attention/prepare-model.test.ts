import { describe, expect, it } from "vitest";
import { validateModel } from "../onnx/validate.ts";
import { expectMaps, mapsOf } from "../test/site-maps.ts";
import {
  comparable,
  committedFixtures,
  difference,
  fixturesIn,
  runFixture,
  skeletonOf,
  truthOf,
  zooFolder,
  type Fixture,
} from "../test/zoo.ts";
import { prepareModel } from "./prepare-model.ts";

/** Quantised and half-precision models round differently once they are written out. */
function toleranceOf({ name }: Fixture): number {
  return /int8|qdq|qoperator|qattention|fp16/.test(name) ? 2e-2 : 1e-4;
}

/** The maps of QAttention in the ground truth are those of the float model. */
function mapToleranceOf(of: Fixture): number {
  return of.name.includes("qattention") ? 0.1 : toleranceOf(of);
}

/** Models with something to inline or to write out. */
function needsWork({ verdict, sites }: Fixture): boolean {
  return (
    verdict === "supported" &&
    sites.some(({ form, where }) => !["softmax", "exp-sum-div"].includes(form) || where === "function")
  );
}

async function check(of: Fixture): Promise<void> {
  const model = skeletonOf(of);
  validateModel(model);
  const { sites, nearMisses } = prepareModel(model);
  validateModel(model);
  expect(nearMisses).toEqual([]);
  const named = of.sites.some(({ node }) => node);
  expect(sites.map((site) => comparable(site, named))).toEqual(
    of.sites.map((site) => comparable(site, named)),
  );
  const outputs = await runFixture(of, model);
  const truth = await truthOf(of);
  for (const [name, expected] of truth.outputs) {
    expect(difference(outputs[name], expected)).toBeLessThan(toleranceOf(of));
  }
  const found = await mapsOf(of, model, sites);
  expect(found).toHaveLength(of.sites.length);
  expectMaps(found, truth, () => mapToleranceOf(of));
}

describe("prepareModel", () => {
  it.each(fixturesIn(committedFixtures).filter(needsWork))(
    "opens $name without changing what it computes",
    check,
  );

  const zoo = zooFolder();
  it.skipIf(zoo === null).each(zoo === null ? [] : fixturesIn(zoo).filter(needsWork))(
    "opens $name without changing what it computes (whole collection)",
    check,
  );
});
