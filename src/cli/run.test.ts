import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { atpatch } from "../test/command-line.ts";
import { fromOrtTensor, toOrtTensor } from "../engine/ort-tensors.ts";
import { readSafetensors } from "../shared/safetensors.ts";
import { difference, fixture, tensorsOf } from "../test/zoo.ts";

const fixturePath = (name: string): string => join(fixture(name).folder, "model.onnx");
const example = fileURLToPath(new URL("../../models/gtsrb-vit", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("usage", () => {
  it("lists every verb, with an example path through them", async () => {
    const { code, out, err } = await atpatch("--help");
    expect([code, err]).toEqual([0, ""]);
    for (const verb of [
      "serve",
      "inspect",
      "instrument",
      "verify",
      "localize",
      "train",
      "evaluate",
      "push",
      "demo",
    ]) {
      expect(out).toMatch(new RegExp(`^  ${verb} `, "m"));
      const help = await atpatch(verb, "--help");
      expect([verb, help.code]).toEqual([verb, 0]);
      expect(help.out).toMatch(new RegExp(`\\$ .*atpatch ${verb}`));
    }
  });

  it.each<[string, string[], RegExp]>([
    ["an unknown verb", ["repair"], /unknown command 'repair'/],
    ["an unknown option", ["inspect", "x", "--fast"], /unknown option '--fast'/],
    ["a missing option", ["train", "--model", "x"], /required option '--debug <file>'/],
    [
      "a share beyond 1",
      ["train", "--model", "x", "--debug", "y", "--out", "z", "--false-flag-rate", "2"],
      /between 0 and 1/,
    ],
    ["a seed that is no number", ["verify", "x", "--seed", "abc"], /a whole number from 0/],
    ["an address that is none", ["push", "x", "--url", "ftp://x", "--model", "m"], /an address such as http/],
    ["a setting that is wrong", ["serve", "--port", "99999999"], /--port is "99999999"/],
  ])("ends with 2 and keeps stdout empty for %s", async (_, args, message) => {
    const { code, out, err } = await atpatch(...args);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
  });

  it("names every environment variable of the server", async () => {
    const { out } = await atpatch("serve", "--help");
    for (const name of ["ATPATCH_HOST", "ATPATCH_MODELS", "ATPATCH_ADMIN_TOKEN", "ATPATCH_BODY_LIMIT"])
      expect(out).toContain(name);
  });
});

describe("inspect", () => {
  it("tells the sites of a model that can be patched", async () => {
    const { code, json } = await atpatch("inspect", fixturePath("learned_queries_ts17"), "--json");
    expect(code).toBe(0);
    expect(json()).toMatchObject({
      verdict: "supported",
      reason: null,
      sites: fixture("learned_queries_ts17").sites.map(({ kind }) => ({ kind })),
    });
    const folderOf = await atpatch("inspect", example, "--json");
    expect(folderOf.json()).toMatchObject({
      name: "gtsrb-vit",
      task: "image-classification",
      inputs: [{ name: "pixel_values" }],
    });
    expect((await atpatch("inspect", example)).out).toContain("can be patched at 4 attention sites");
  });

  it("ends with 3 and the reason for one that cannot", async () => {
    const unusable = await atpatch("inspect", fixturePath("neg_linear_attention"), "--json");
    expect(unusable.code).toBe(3);
    expect(unusable.json()).toMatchObject({
      verdict: "refused",
      sites: [],
      reason: expect.stringContaining("no attention map") as string,
    });
    const broken = await atpatch("inspect", fixturePath("bad_truncated"));
    expect(broken.code).toBe(3);
    expect(broken.out).toMatch(/cannot be patched/);
  });

  it("ends with 1 when there is nothing to look at, and says so as JSON too", async () => {
    const { code, json, err } = await atpatch("inspect", join(folder, "nowhere"), "--json");
    expect(code).toBe(1);
    expect(json()).toMatchObject({ code: "ATPATCH_NOT_FOUND" });
    expect(err).toMatch(/there is no model folder or file/);
  });
});

describe("verify", () => {
  it("finds a fixture sound and writes its maps", async () => {
    const of = fixture("mha_ts17_weights");
    const maps = join(folder, "maps.safetensors");
    const { code, json } = await atpatch(
      "verify",
      join(of.folder, "model.onnx"),
      "--inputs",
      join(of.folder, "inputs.safetensors"),
      "--maps",
      maps,
      "--json",
    );
    expect(code).toBe(0);
    expect(json()).toMatchObject({
      passed: true,
      sites: of.sites.length,
      inputs: "given",
      unflagged_bit_identical: true,
    });
    const written = readSafetensors(await readFile(maps)).tensors;
    for (const [name, expected] of tensorsOf(of, "expected_maps")) {
      expect(written.get(name)?.shape).toEqual(expected.shape);
      expect(difference(written.get(name), expected)).toBeLessThan(1e-5);
    }
  });

  it("makes up inputs for a model that comes with none", async () => {
    const { code, json } = await atpatch("verify", example, "--json");
    expect(code).toBe(0);
    expect(json()).toMatchObject({ passed: true, samples: 4, inputs: "random" });
  });

  it("says which input is missing", async () => {
    const of = fixture("mha_ts17_weights");
    const wrong = join(fixture("keras_einsum").folder, "inputs.safetensors");
    const { code, err } = await atpatch("verify", join(of.folder, "model.onnx"), "--inputs", wrong);
    expect(code).toBe(1);
    expect(err).toMatch(/give inputs it takes with --inputs/);
  });
});

describe("instrument", () => {
  it("writes one file with every weight that answers like the model", async () => {
    const of = fixture("external_data_one_file");
    const file = join(folder, "patched.onnx");
    const { code, json } = await atpatch(
      "instrument",
      join(of.folder, "model.onnx"),
      "--out",
      file,
      "--json",
    );
    expect(code).toBe(0);
    expect(json()).toMatchObject({ out: file, sites: of.sites.length, detector: null, mode: "enforce" });
    const session = await InferenceSession.create(await readFile(file), { logSeverityLevel: 4 });
    const inputs = Object.fromEntries(
      [...tensorsOf(of, "inputs")].map(([name, tensor]) => [name, toOrtTensor(name, tensor)]),
    );
    const outputs = await session.run(inputs);
    for (const [name, expected] of tensorsOf(of, "expected")) {
      expect(difference(fromOrtTensor(name, outputs[name]!), expected)).toBeLessThan(1e-5);
    }
    await session.release();
  });

  it("leaves nothing behind where it cannot write", async () => {
    const { code, err } = await atpatch(
      "instrument",
      example,
      "--out",
      join(folder, "no", "such", "folder.onnx"),
    );
    expect(code).toBe(1);
    expect(err).toMatch(/cannot be written: there is no such file or folder/);
  });
});

describe("localize and evaluate", () => {
  /** Some lines of a set of the example model. */
  async function lines(file: string, clean: number, failing: number): Promise<string> {
    const { gunzipSync } = await import("node:zlib");
    const all = gunzipSync(await readFile(join(example, file)))
      .toString("utf8")
      .trimEnd()
      .split("\n");
    const of = (set: string): string[] => all.filter((line) => line.includes(`"set":"${set}"`));
    const failed = of("failing").filter((line) => line.includes(`"pair":null`));
    const path = join(folder, file.replace(".gz", ""));
    await writeFile(path, [...of("clean").slice(0, clean), ...failed.slice(0, failing)].join("\n"));
    return path;
  }

  it(
    "adds the columns that were found to each failing line, where the stamp is",
    { timeout: 60_000 },
    async () => {
      const set = await lines("test.jsonl.gz", 12, 3);
      const out = join(folder, "located.jsonl");
      const { code, json } = await atpatch(
        "localize",
        "--model",
        example,
        "--debug",
        set,
        "--out",
        out,
        "--json",
      );
      expect(code).toBe(0);
      const found = json() as { samples: { id: string; columns: number[]; places: unknown[] }[] };
      expect(found).toMatchObject({ found: { value: 1 }, answered_rightly: 0 });
      expect(found.samples.every(({ places, columns }) => places.length === columns.length)).toBe(true);
      const before = (await readFile(set, "utf8"))
        .split("\n")
        .map((line) => JSON.parse(line) as { id: string; columns?: number[] });
      const after = (await readFile(out, "utf8"))
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as (typeof before)[0]);
      expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
      for (const { id, columns } of found.samples) {
        expect(after.find((line) => line.id === id)?.columns).toEqual(columns);
        // The test set names every column that sees the stamp; localisation finds those that are needed.
        const touched = before.find((line) => line.id === id)?.columns ?? [];
        expect(columns.filter((column) => touched.includes(column)).length).toBeGreaterThan(0);
      }
    },
  );

  it("prints the figures of the contract", { timeout: 60_000 }, async () => {
    const set = await lines("test.jsonl.gz", 30, 20);
    const { code, json } = await atpatch("evaluate", "--model", example, "--test", set, "--json");
    expect(code).toBe(0);
    const rate = {
      value: expect.any(Number) as number,
      low: expect.any(Number) as number,
      high: expect.any(Number) as number,
    };
    expect(json()).toMatchObject({
      detector: expect.stringMatching(/^sha256-[0-9a-f]{64}$/) as string,
      target: { index: 0, given: false },
      clean: { n: 30, accuracy: rate, accuracy_unpatched: rate, flag_rate: rate, altered: { value: 0 } },
      failing: {
        n: 20,
        attack_success: { value: 0 },
        attack_success_unpatched: { value: 1 },
        robust_accuracy: rate,
        flag_rate: rate,
      },
    });
    const named = await atpatch("evaluate", "--model", example, "--test", set, "--json", "--target", "Stop");
    expect(named.json()).toMatchObject({
      target: { label: "Stop", given: true },
      failing: { attack_success_unpatched: { value: 0 } },
    });
    const wrong = await atpatch("evaluate", "--model", example, "--test", set, "--target", "Parking");
    expect([wrong.code, wrong.out]).toEqual([1, ""]);
  });

  it("names the line of a broken set, and prints nothing on stdout", async () => {
    const broken = join(folder, "broken.jsonl");
    await writeFile(broken, `{"id":"a","set":"clean","label":99,"instance":1}\n`);
    const { code, out, err } = await atpatch("localize", "--model", example, "--debug", broken);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/line 1: label: expected a class index below 43/);
  });
});
