import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEngine } from "../compose-engine.ts";
import { parseBundle } from "../detector/bundle.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import { instrument } from "../hotfix/instrument.ts";
import { float32 } from "../shared/tensor.ts";
import { createTask } from "../tasks/create-task.ts";
import { readModelFolder } from "../tasks/model-folder.ts";
import type { Task } from "../tasks/task.ts";
import { collect } from "./collect.ts";
import { standardisation, type SiteColumns } from "./columns.ts";
import { readDebugSet, type DebugSample } from "./debug-set.ts";
import { detectorTensors } from "./detector-tensors.ts";
import { evaluate } from "./evaluate.ts";
import { scoreSamples } from "./fit.ts";
import { flaggedAt } from "./flags.ts";
import { ModelRuns, predicted } from "./model-runs.ts";
import { parameters, randomNetwork } from "./network.ts";
import { Random } from "./random.ts";
import { SampleStore } from "./sample-store.ts";
import { referenceTaps } from "./reference.ts";
import { train } from "./train.ts";

const folder = fileURLToPath(new URL("../../models/gtsrb-vit", import.meta.url));
const options = { falseFlagRate: 0.05, maxAltered: 0.02, seed: 0, steps: 100 };

/** The first so many samples of each kind whose twins are there too. */
async function part(file: string, clean: number, failing: number): Promise<DebugSample[]> {
  const all = await readDebugSet(createReadStream(`${folder}/${file}`));
  const kept = all.filter(({ set }) => set === "clean").slice(0, clean);
  const ids = new Set(kept.map(({ id }) => id));
  const failed = all.filter(({ set, pair }) => set === "failing" && (pair === null || ids.has(pair)));
  return [...kept, ...failed.slice(0, failing)];
}

describe("training on the example model", () => {
  let engine: InferenceEngine;
  let task: Task;
  let debug: DebugSample[];
  beforeAll(async () => {
    const model = await readModelFolder(folder);
    const file = { bytes: await readFile(model.model.absolute), name: "model.onnx" };
    const patched = instrument(file, { taps: referenceTaps });
    engine = await openEngine(patched, folder, {
      workers: 2,
      threads: 1,
      queue: 64,
      deadlineMs: 600_000,
      recheck: true,
    });
    task = await createTask(model, engine.description);
    debug = await part("debug.jsonl.gz", 100, 12);
  });
  afterAll(() => engine.close());

  it("makes a bundle from twelve failing samples that repairs others", { timeout: 120_000 }, async () => {
    const stages = new Set<string>();
    const { bundle, report } = await train(engine, task, debug, {
      ...options,
      progress: (stage) => stages.add(stage),
    });
    if (!("localization" in report)) throw new Error("the detector was to be fitted to failures");
    expect(report.verdict).toBe("trigger");
    expect(report.localization).toMatchObject({
      failing: 12,
      searched: 12,
      columns_given: 0,
      answered_rightly: 0,
    });
    expect(stages).toContain("localising");

    const { id, metadata, tensors } = parseBundle(bundle);
    expect(metadata).toMatchObject({
      model: engine.description.fingerprint,
      keys: 65,
      provenance: { seed: 0 },
    });
    expect(JSON.stringify(metadata)).not.toContain(process.cwd());
    await engine.publish(id, tensors);
    const test = await part("test.jsonl.gz", 60, 60);
    const figures = await evaluate(new ModelRuns(engine, task, new SampleStore(task, test)), {
      detector: id,
    });
    await engine.retire(id);
    expect(figures.target).toEqual({ index: 0, label: "Speed limit (20km/h)", given: false });
    expect(figures.failing.attack_success_unpatched.value).toBe(1);
    expect(figures.failing.attack_success.value).toBeLessThanOrEqual(0.05);
    expect(figures.failing.robust_accuracy.value).toBeGreaterThanOrEqual(0.75);
    expect(figures.clean.altered.value).toBeLessThanOrEqual(0.05);
    expect(
      Math.abs(figures.clean.accuracy.value! - figures.clean.accuracy_unpatched.value!),
    ).toBeLessThanOrEqual(0.05);
    // The self-check ran the whole debug set through the graph: what it flags there agrees with what was computed here.
    expect(report.self_check.failing.attack_success.value).toBe(0);
  });

  it("makes the same bytes of the same seed, and others of another", { timeout: 120_000 }, async () => {
    // The test set names the columns: nothing has to be searched.
    const few = [...debug.slice(0, 44), ...(await part("test.jsonl.gz", 0, 8))];
    const made = async (seed: number): Promise<string> => {
      const setting = { ...options, seed, steps: 20, acceptPartial: true };
      return parseBundle((await train(engine, task, few, setting)).bundle).id;
    };
    const first = await made(0);
    expect(await made(0)).toBe(first);
    expect(await made(1)).not.toBe(first);
  });

  it(
    "refuses ordinary errors, and a set that holds as many of them as triggers",
    { timeout: 120_000 },
    async () => {
      const test = await part("test.jsonl.gz", 250, 8);
      const answers = await new ModelRuns(engine, task, new SampleStore(task, test)).answers(
        test.map((_, sample) => ({ sample, mode: "off" })),
        { detector: null },
      );
      const errors = test
        .filter(({ set, label }, i) => set === "clean" && predicted(answers[i]!.logits) !== label)
        .map((sample): DebugSample => ({ ...sample, id: `error-${sample.id}`, set: "failing" }))
        .slice(0, 8);
      const clean = debug.slice(0, 60);
      const setting = { ...options, steps: 40 };
      await expect(train(engine, task, [...clean, ...errors], setting)).rejects.toThrow(
        /^attention columns do not carry these failures, so they are not trigger-like: .* held-out failing samples/,
      );
      await expect(train(engine, task, [...clean, ...errors, ...test.slice(-8)], setting)).rejects.toThrow(
        /^attention columns carry only a part of these failures: .*not explained: .*error-/,
      );
    },
  );

  it("computes the very flags of the graph from collected columns", async () => {
    const runs = new ModelRuns(engine, task, new SampleStore(task, debug.slice(0, 20)));
    const sites = (await collect(runs, [1])).sites as [SiteColumns];
    const all = debug.slice(0, 20).map((_, sample) => sample);
    const window = {
      features: "attention+value",
      kernel: 3,
      standardisation: standardisation(sites[0], all),
    } as const;
    const network = randomNetwork(3 * sites[0].width, new Random(1, "network"));
    for (const values of parameters(network)) values.forEach((value, i) => (values[i] = Math.fround(value)));
    const fitted = { site: 1, ...window, network };
    const scores = scoreSamples(fitted, sites[0], all);
    const sorted = Float64Array.from(scores.flatMap((logits) => [...logits])).sort();
    // Between two scores, so that rounding decides nothing.
    const between = (share: number): number => {
      const at = Math.floor(share * sorted.length);
      return Math.fround((sorted[at]! + sorted[at + 1]!) / 2);
    };
    const thresholds = { gate: between(0.98), column: between(0.9) };
    const tensors = detectorTensors({
      sites: 4,
      detection: [{ fitted, ...thresholds }],
      reference: {
        ratio: true,
        attention: float32([4, 1, 1, 1], new Float32Array(4)),
        value: float32([4, 1, 1, 1], new Float32Array(4)),
        keys: null,
      },
      kind: "zero",
      firstKey: 1,
    });
    await engine.publish("random", tensors);
    let flagged = 0;
    await runs.forEachBatch(
      all.map((sample) => ({ sample, mode: "observe" })),
      { detector: "random" },
      ({ indices, result }) => {
        const { keys, firstSite } = result.flags[0]!;
        indices.forEach((sample, row) => {
          const graph = [...firstSite.subarray(row * keys, (row + 1) * keys)].flatMap((site, key) =>
            site > 0 ? [key] : [],
          );
          expect(graph).toEqual(flaggedAt(scores[sample]!, sites[0].samples[sample]!, thresholds, 1));
          flagged += graph.length;
        });
      },
    );
    await engine.retire("random");
    expect(flagged).toBeGreaterThan(20);
  });

  it.each<[string, (samples: DebugSample[]) => DebugSample[], RegExp]>([
    ["too few failing samples", (all) => all.slice(0, 105), /5 failing samples, at least 8/],
    ["too few clean samples", (all) => all.slice(70), /30 clean samples: a false-flag rate of 5 %/],
    [
      "failing samples that are answered rightly",
      (all) => all.map((sample) => (sample.set === "failing" ? { ...sample, label: 0 } : sample)),
      /answers 12 of the failing samples rightly/,
    ],
    [
      "columns beyond the sample",
      (all) => all.map((sample) => ({ ...sample, columns: [65] })),
      /sample "f\d+": columns: 65 is no key position, the sample has 65/,
    ],
    [
      "an instance the task refuses",
      (all) => all.with(3, { ...all[3]!, instance: { b64: "AAAA" } }),
      /sample "c\d+": instance: /,
    ],
  ])("says what is wrong with %s", { timeout: 60_000 }, async (_, change, message) => {
    await expect(train(engine, task, change(debug), options)).rejects.toThrow(message);
  });
});
