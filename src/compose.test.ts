import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { composeServer, type ComposedServer } from "./compose.ts";
import { instrument } from "./hotfix/instrument.ts";
import { resolveSettings, type SettingFlags } from "./settings.ts";
import { sha256 } from "./shared/digest.ts";
import { markDetector, tinyLabels, tinyModel, tinySample } from "./test/tiny-model.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-compose-"));
  const bytes = tinyModel();
  const { description } = instrument({ bytes, name: "model.onnx" });
  const settings = { task: "tensor", labels: tinyLabels, policy: { mode: "observe" } };
  const files: Record<string, string | Uint8Array> = {
    "models/alpha/onnx/model.onnx": bytes,
    "models/beta/model.onnx": bytes,
    "models/beta/atpatch.json": JSON.stringify(settings),
    "models/beta/detectors/marks.safetensors": markDetector(description),
    "models/beta/detectors/torn.safetensors": markDetector(description).subarray(0, 100),
    "models/broken/model.onnx": "not a model",
    "only-broken/one/model.onnx": "not a model",
    "empty/readme.txt": "no model here",
    "tokens.json": JSON.stringify([{ name: "ci", scopes: ["read"], sha256: sha256("ci-token") }]),
  };
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), content);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function compose(flags: SettingFlags): Promise<ComposedServer & { stop(): Promise<void> }> {
  const inside = {
    models: join(folder, flags.models ?? "models"),
    state: join(folder, flags.state ?? "state"),
  };
  const server = await composeServer(
    resolveSettings({ workers: "1", threads: "1", logLevel: "silent", ...flags, ...inside }, {}),
  );
  return {
    ...server,
    stop: async () => {
      await server.app.close();
      await server.close();
    },
  };
}

describe("composeServer", () => {
  it("serves every folder it can load, and takes up where it stopped", async () => {
    const first = await compose({ defaultModel: "beta" });
    expect(first.services.models.all().map((model) => model.name)).toEqual(["alpha", "beta"]);
    expect(first.generatedToken).toMatch(/^[\w-]{32}$/);
    const beta = first.services.models.get("beta");
    const { active, policy } = beta.registry.snapshot();
    // Of the two bundles shipped with it one is torn.
    expect(active).toMatch(/^sha256-/);
    expect(policy).toMatchObject({ mode: "observe", onError: "open" });
    expect(first.services.models.get("alpha").registry.snapshot().active).toBeNull();
    const answer = await first.app.inject({
      method: "POST",
      url: "/predict",
      payload: { instances: [tinySample()] },
    });
    expect(answer.json()).toMatchObject({ model_name: "beta", atpatch: { detector: active } });
    await beta.registry.setPolicy({ mode: "enforce" }, { actor: "test" });
    await first.stop();

    const second = await compose({});
    expect(second.services.models.fallback.name).toBe("alpha");
    expect(second.services.models.get("beta").registry.snapshot()).toMatchObject({
      active,
      policy: { mode: "enforce" },
    });
    await second.stop();
  });

  it("serves one model folder by itself, with the tokens of a file", async () => {
    await cp(join(folder, "models/beta"), join(folder, "single"), { recursive: true });
    const server = await compose({
      models: "single",
      state: "other-state",
      tokensFile: join(folder, "tokens.json"),
    });
    expect(server.generatedToken).toBeNull();
    expect(server.services.models.all().map((model) => model.name)).toEqual(["single"]);
    const ask = async (method: "GET" | "POST", url: string) =>
      (await server.app.inject({ method, url, headers: { authorization: "Bearer ci-token" } })).statusCode;
    expect(await ask("GET", "/admin/models")).toBe(200);
    expect(await ask("POST", "/admin/models/single/rollback")).toBe(403);
    await server.stop();
  });

  it.each<[SettingFlags, string]>([
    [{ models: "empty" }, "the folder has no model.onnx or onnx/model.onnx"],
    [{ models: "nowhere" }, "the model folder does not exist"],
    [{ models: "only-broken" }, "could be loaded"],
    [{ defaultModel: "huge" }, 'there is no model "huge" to be the default'],
    [{ tokensFile: "missing.json" }, "ATPATCH_TOKENS_FILE: the file cannot be read"],
  ])("refuses to start with %j", async (flags, message) => {
    await expect(compose(flags)).rejects.toThrow(message);
  });
});
