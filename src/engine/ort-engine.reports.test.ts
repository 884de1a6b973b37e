/** Features that a run reports, against the plain reference on the maps of the same run. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { neutralTensors } from "../detector/neutral.ts";
import { instrument } from "../hotfix/instrument.ts";
import { referenceFeatures } from "../hotfix/reference/features.ts";
import { hotfixNames, tapKinds } from "../shared/patched-model.ts";
import {
  allFeatures,
  columnFeatures,
  isVisible,
  visibleColumns,
  type SiteReport,
} from "../shared/site-report.ts";
import { float32, type Tensor } from "../shared/tensor.ts";
import { opCase, plainShape } from "../test/op-cases.ts";
import { expectClose } from "../test/op-run.ts";
import { randomVit, vitTiny } from "../test/random-vit.ts";
import { fixture, modelBytes, tensorsOf } from "../test/zoo.ts";
import type { InferenceEngine, RunRequest, RunResult } from "./engine.ts";
import { createOrtEngine } from "./ort-engine.ts";

const keys = (vitTiny.image / vitTiny.patch) ** 2 + 1;
const batch = 3;
const pixels = float32(
  [batch, 3, vitTiny.image, vitTiny.image],
  Array.from({ length: batch * 3 * vitTiny.image ** 2 }, (_, at) => Math.sin(at * at) / 2 + 0.5),
);
const vitShape = { ...plainShape, seed: 9, keys, depth: 8 };
const open = {
  ...opCase(vitShape, { sites: vitTiny.layers }).detector,
  thresholds: float32([1, 2], [-1e9, -1e9]),
};
const late = { ...open, slot: { ...open.slot, data: BigInt64Array.of(-1n, 0n) } };
/** Looks at the values of the first site alone. */
const pointwise = {
  ...opCase({ ...vitShape, pointwise: true }, { sites: vitTiny.layers }).detector,
  slot: { ...open.slot, data: BigInt64Array.of(0n, -1n) },
  thresholds: float32([1, 2], [-1e9, 0]),
};
const both = [0, 1];
const maps = both.flatMap((site) => tapKinds.map((kind) => hotfixNames.tap(kind, site)));

const request = (rest: Partial<RunRequest> = {}): RunRequest => ({
  inputs: { pixel_values: pixels },
  batch,
  modes: Int32Array.of(0, 1, 2),
  detector: null,
  ...rest,
});

/** φ of every sample of a map [B,H,Tq,Tk], one row for each column. */
function reference({ shape, data }: Tensor): { features: number[]; visible: number[] } {
  const [samples = 0, heads = 0, queries = 0, columns = 0] = shape;
  const size = heads * queries * columns;
  const each = Array.from({ length: samples }, (_, b) => {
    const own = (data as Float32Array).subarray(b * size, (b + 1) * size);
    return referenceFeatures({ heads, queries, keys: columns, data: own }, true);
  });
  return {
    features: each.flatMap(({ attention }) =>
      Array.from({ length: columns }, (_, j) => attention.map((row) => row[j] ?? NaN)).flat(),
    ),
    visible: each.flatMap(({ visible }) => visible.map(Number)),
  };
}

/** φ of every column, one after the other. */
function attentionOf(report: SiteReport): number[] {
  const columns = report.features.length / report.width;
  return Array.from({ length: columns }, (_, column) => [...columnFeatures(report, column, 0, 11)]).flat();
}

describe("reports of a run", () => {
  let folder: string;
  const engines: InferenceEngine[] = [];
  let serving: InferenceEngine;
  let tapped: InferenceEngine;

  async function start(bytes: Uint8Array, tap = false, recheck = true): Promise<InferenceEngine> {
    const name = `model${engines.length}.onnx`;
    await writeFile(join(folder, name), bytes);
    const patched = instrument({ bytes, name }, tap ? { taps: tapKinds } : {});
    const neutral = neutralTensors(patched.description.sites.length);
    const engine = await createOrtEngine({
      patched,
      folder,
      neutral,
      recheck,
      workers: 1,
      threads: 1,
      queue: 8,
    });
    engines.push(engine);
    return engine;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "atpatch-reports-"));
    const bytes = randomVit(vitTiny);
    serving = await start(bytes);
    tapped = await start(bytes, true, false);
    for (const engine of engines) {
      await engine.publish("open", open);
      await engine.publish("late", late);
    }
  });
  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    await rm(folder, { recursive: true });
  });

  it.each([null, "open", "late"])(
    "are the reference's features of the maps that the same run had, with detector %s",
    async (detector) => {
      const result = await tapped.run(request({ detector, outputs: maps, report: [1, 0] }));
      expect(result.reports?.map(({ site }) => site)).toEqual([1, 0]);
      for (const report of result.reports ?? []) {
        const expected = reference(result.outputs[hotfixNames.tap("map", report.site)]!);
        expect(report).toMatchObject({ keys, windows: 1, width: 11 + vitTiny.width });
        expectClose(attentionOf(report), expected.features, 2e-3);
        expect([...visibleColumns(report)]).toEqual(expected.visible);
        expect(report.features).toHaveLength(batch * keys * report.width);
      }
      const flagged = result.flags[0]!.firstSite.some((site) => site > 0);
      expect(flagged).toBe(detector !== null);
    },
  );

  it("come for every sample, whatever its mode, and for a batch that is wholly off", async () => {
    const [mixed, off] = await Promise.all([
      serving.run(request({ report: [0] })),
      serving.run(request({ report: [0], modes: new Int32Array(batch), detector: "open" })),
    ]);
    expect(mixed.reports).toEqual(off.reports);
    expect(off.flags[0]!.firstSite.every((site) => site === 0)).toBe(true);
    const [report] = off.reports!;
    for (let b = 0; b < batch; b++) {
      expect(columnFeatures(report!, b * keys, 0, 8).some((x) => x !== 0)).toBe(true);
    }
  });

  it("change no bit of outputs and flags, and are absent when nothing was asked for", async () => {
    const answer = ({ outputs, flags }: RunResult) => ({ outputs, flags });
    for (const detector of [null, "open", "late"]) {
      const plain = await serving.run(request({ detector }));
      expect(plain).not.toHaveProperty("reports");
      expect(answer(await serving.run(request({ detector, report: both })))).toEqual(answer(plain));
    }
  });

  it("show what the first pass saw when samples take a second one", async () => {
    const [first, twice] = await Promise.all([
      tapped.run(request({ detector: "late", report: both })),
      serving.run(request({ detector: "late", report: both })),
    ]);
    expect([first.rechecked, twice.rechecked].map(({ length }) => length)).toEqual([0, 1]);
    expect(twice.reports).toEqual(first.reports);
  });

  it("tell the visible keys alone where nobody looks at attention, and change nothing else by a bit", async () => {
    const ask = (detector: string | null, attention: boolean): Promise<RunResult> =>
      serving.run(request({ detector, report: both, attention }));
    const [whole, lean] = [await ask(null, true), await ask(null, false)];
    const [wholly, detecting] = [await ask("late", true), await ask("late", false)];
    for (const { site, ...report } of lean.reports!) {
      const full = whole.reports![site]!;
      for (let column = 0; column < batch * keys; column++) {
        expect([...columnFeatures(report as SiteReport, column, 0, 11)]).toEqual([
          ...Array<number>(10).fill(0),
          Number(isVisible(full, column)),
        ]);
        expect(columnFeatures(report as SiteReport, column, 11)).toEqual(columnFeatures(full, column, 11));
      }
    }
    // A detector that looks at attention still does, where it detects and nowhere else.
    expect(detecting.flags).toEqual(wholly.flags);
    expect(detecting.outputs).toEqual(wholly.outputs);
    expect(detecting.reports![1]).toEqual(wholly.reports![1]);
    expect(attentionOf(detecting.reports![0]!).filter((x) => x !== 0)).toHaveLength(batch * keys);
  });

  it("are the same from a site that detects in the pointwise form", async () => {
    await serving.publish("pointwise", pointwise);
    const ask = (detector: string | null, attention: boolean): Promise<RunResult> =>
      serving.run(request({ detector, report: both, attention }));
    const [expected, lean, whole] = [
      await ask(null, false),
      await ask("pointwise", false),
      await ask("pointwise", true),
    ];
    // The second site sees what the first one has repaired.
    const [report] = lean.reports!;
    expect(report!.largest).toHaveLength(batch * keys);
    expect(allFeatures(report!)).toEqual(expected.reports![0]!.features);
    expect(report).toMatchObject({ keys, windows: 1, width: expected.reports![0]!.width });
    expect(attentionOf(whole.reports![0]!).filter((x) => x !== 0).length).toBeGreaterThan(batch * keys);
    // Both forms find the same, and so does a run that reports nothing.
    const [first] = lean.flags;
    expect(first!.firstSite.filter((site) => site === 1).length).toBeGreaterThan(0);
    for (const other of [whole, await serving.run(request({ detector: "pointwise" }))]) {
      expect(other.outputs).toEqual(lean.outputs);
      expect(other.flags[0]!.firstSite).toEqual(first!.firstSite);
      expectClose(other.flags[0]!.score, first!.score, 1e-4);
    }
  });

  it("are refused for a site that the model does not have", async () => {
    await expect(serving.run(request({ report: [2] }))).rejects.toThrow(/no attention site 2/);
  });

  it("come out of the branch of an If, and are empty for the branch not taken", async () => {
    const merged = fixture("merged_decoder_if");
    const engine = await start(Uint8Array.from(modelBytes(merged)));
    const inputs = Object.fromEntries(tensorsOf(merged, "inputs"));
    const { sites } = engine.description;
    const samples = inputs[engine.description.inputs[0]!.name]!.shape[0]!;
    const { reports } = await engine.run({
      inputs,
      batch: samples,
      modes: new Int32Array(samples),
      detector: null,
      report: sites.map(({ index }) => index),
    });
    const filled = reports!.filter(({ features }) => features.some((x) => x !== 0));
    expect(filled.length).toBeGreaterThan(0);
    expect(filled.length).toBeLessThan(sites.length);
    for (const report of reports!) {
      expect(report.features).toHaveLength(samples * report.keys * report.width);
      expect(report.keys > 0).toBe(filled.includes(report));
    }
  });
});
