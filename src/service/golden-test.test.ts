import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { markDetector, tinySample, type MarkDetectorOptions } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";
import type { GoldenSample } from "./golden-test.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let golden: readonly GoldenSample[] | Error;
beforeAll(async () => {
  server = await tinyServer({
    golden: () => (golden instanceof Error ? Promise.reject(golden) : Promise.resolve(golden)),
  });
});
afterAll(() => server.close());

const upload = (options: MarkDetectorOptions) =>
  server.model.registry.upload(markDetector(server.model.engine.description, options), { actor: "test" });
/** The model finds samples with a mark wild, label 1, and never calm, label 0. */
const samples = (...marks: number[]): GoldenSample[] =>
  marks.map((mark) => ({ instance: tinySample({ 3: mark }), label: mark > 3 ? 1 : 0 }));

describe("the golden test", () => {
  it("reports how often a detector triggers on clean samples, and what that does to them", async () => {
    golden = samples(0, 6, 0, 8, 0, 0, 0, 0, 0, 9, 0, 0);
    const { report } = await upload({ threshold: 7 });
    expect(report["golden"]).toEqual({
      samples: 12,
      flagged: 2,
      flag_rate: 2 / 12,
      identical: 10,
      altered: 2,
      accuracy: 1 / 12,
      accuracy_unpatched: 3 / 12,
    });
  });

  it("says why there are no figures, and does not hold that against the detector", async () => {
    golden = new Error("line 3: expected a label");
    expect((await upload({ threshold: 7.1 })).report["golden"]).toEqual({
      reason: "the golden set cannot be read: line 3: expected a label",
    });
    golden = [{ instance: "a text", label: 0 }];
    const { report } = await upload({ threshold: 7.2 });
    expect(report["golden"]).toMatchObject({
      reason: expect.stringMatching(/does not take the golden set: .*instances\[0\]/),
    });
  });

  it("refuses a detector that the model does not run with", async () => {
    golden = samples(0, 9);
    // A reference for 5 tokens of the made-up inputs and of these is fine; one that is bound to 3 is not.
    const error = await upload({ threshold: 7, keys: 3 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AtPatchError);
    expect(error).toMatchObject({ code: "ATPATCH_SELF_TEST" });
  });
});
