/** The patch for protected columns, on the shipped income classifier, which is biased by sex. */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEngine } from "../compose-engine.ts";
import { encodeBundle, parseBundle, type Bundle } from "../detector/bundle.ts";
import type { InferenceEngine, RunResult } from "../engine/engine.ts";
import { instrument } from "../hotfix/instrument.ts";
import { tensor } from "../shared/tensor.ts";
import { modeCodes, type Mode } from "../shared/patched-model.ts";
import { isTriggered } from "../shared/triggered.ts";
import { createTask } from "../tasks/create-task.ts";
import { readModelFolder } from "../tasks/model-folder.ts";
import type { Task } from "../tasks/task.ts";
import { readDebugSet, type DebugSample } from "./debug-set.ts";
import { predicted } from "./model-runs.ts";
import { referenceTaps } from "./reference.ts";
import { train } from "./train.ts";

const folder = fileURLToPath(new URL("../../models/adult-ft", import.meta.url));
const options = { falseFlagRate: 0.02, maxAltered: 0.005, seed: 0 };
/** Position of sex in a row; [CLS] comes before the columns. */
const sex = 7;

describe("training with protected columns", () => {
  let engine: InferenceEngine;
  let task: Task;
  let clean: DebugSample[];
  let bundle: Bundle;
  let bytes: Uint8Array;
  beforeAll(async () => {
    const model = await readModelFolder(folder);
    const file = { bytes: await readFile(model.model.absolute), name: "model.onnx" };
    engine = await openEngine(instrument(file, { taps: referenceTaps }), folder, {
      workers: 1,
      threads: 1,
      queue: 64,
      deadlineMs: 600_000,
      recheck: true,
    });
    task = await createTask(model, engine.description);
    const all = await readDebugSet(createReadStream(`${folder}/debug.jsonl.gz`));
    clean = all.filter(({ set }) => set === "clean").slice(0, 200);
    ({ bundle: bytes } = await train(engine, task, clean, options));
    bundle = parseBundle(bytes);
    await engine.publish(bundle.id, bundle.tensors);
  }, 60_000);
  afterAll(() => engine.close());

  const run = async (instances: readonly unknown[], mode: Mode): Promise<RunResult> => {
    const { inputs, batch } = await task.prepare(instances);
    const modes = new Int32Array(batch).fill(modeCodes[mode]);
    return engine.run({ inputs, batch, modes, detector: bundle.id });
  };
  const rows = (value: string): unknown[] =>
    clean.slice(0, 64).map(({ instance }) => (instance as unknown[]).with(sex, value));

  it("needs no failing sample, detects nothing and forces the protected column", () => {
    expect(bundle.metadata).toMatchObject({ detectionSites: [], forced: [sex + 1], keys: 13 });
    expect(bundle.metadata.report).toMatchObject({ verdict: "protected", protected: ["sex"] });
  });

  it("lets no answer depend on the column, whose content otherwise counts", async () => {
    const logits = async (value: string, mode: Mode): Promise<number[][]> => {
      const given = rows(value);
      const { outputs } = await run(given, mode);
      return task.logits(outputs, given.length).map((row) => [...row]);
    };
    const [men, women] = [await logits("Male", "enforce"), await logits("Female", "enforce")];
    const furthest = Math.max(...men.flatMap((row, i) => row.map((x, c) => Math.abs(x - women[i]![c]!))));
    expect(furthest).toBeLessThan(1e-4);
    const plain = [await logits("Male", "off"), await logits("Female", "off")];
    const classes = plain.map((all) => all.map((row) => predicted(Float32Array.from(row))));
    expect(classes[0]).not.toEqual(classes[1]);
  });

  it("calls no sample triggered by that, and changes nothing in the modes off and observe", async () => {
    const given = rows("Female");
    const [off, observe, enforce] = [
      await run(given, "off"),
      await run(given, "observe"),
      await run(given, "enforce"),
    ];
    expect(given.map((_, sample) => isTriggered(enforce, sample))).not.toContain(true);
    expect(enforce.forced).toEqual([sex + 1]);
    expect(observe.outputs).toEqual(off.outputs);
    expect(enforce.outputs).not.toEqual(off.outputs);
  });

  it("gives the same bytes again, and is refused where metadata and tensor disagree", async () => {
    const again = await train(engine, task, clean, options);
    expect(Buffer.from(again.bundle).equals(bytes)).toBe(true);
    const { metadata, tensors } = bundle;
    expect(() => encodeBundle({ ...metadata, forced: [3] }, tensors)).toThrow("tensor forced");
    const short = tensor("BOOL", [2], Uint8Array.of(0, 1));
    expect(() => encodeBundle({ ...metadata, forced: [1] }, { ...tensors, forced: short })).toThrow(
      "tensor forced: expected the 13 key positions",
    );
    expect(() =>
      encodeBundle(metadata, { ...tensors, forced: tensor("INT8", [13], new Int8Array(13)) }),
    ).toThrow("expected BOOL");
  });

  it("is refused with too few samples to know what is ordinary", async () => {
    await expect(train(engine, task, clean.slice(0, 20), options)).rejects.toThrow("at least 50 are needed");
  });
});
