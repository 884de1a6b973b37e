import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { atpatch } from "../test/command-line.ts";
import { adminEntry } from "../service/tokens.ts";
import { markDetector } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

describe("push", () => {
  let [server, url, folder, file]: [TinyServer | undefined, string, string, string] = [undefined, "", "", ""];
  beforeAll(async () => {
    server = await tinyServer({ tokens: [adminEntry("test", "secret-token-of-the-test")] });
    url = await server.app.listen({ host: "127.0.0.1", port: 0 });
    folder = await mkdtemp(join(tmpdir(), "atpatch-push-"));
    file = join(folder, "bundle.safetensors");
    await writeFile(file, markDetector(server.model.engine.description));
  });
  afterEach(() => {
    delete process.env["ATPATCH_TOKEN"];
  });
  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const push = (...args: string[]) => atpatch("push", file, "--url", url, "--model", "tiny", ...args);

  it("uploads, activates, and finds the same bytes again", async () => {
    process.env["ATPATCH_TOKEN"] = "secret-token-of-the-test";
    const first = await push("--activate", "--reason", "a test", "--json");
    expect(first.code).toBe(0);
    const document = JSON.parse(first.out) as { detector: string };
    expect(document).toMatchObject({
      created: true,
      activated: true,
      revision: expect.any(Number) as number,
    });
    expect(server?.model.registry.snapshot().active).toBe(document.detector);
    const again = await push();
    expect(again.code).toBe(0);
    expect(again.out).toMatch(/was there already/);
  });

  it("says what to do about a missing and a wrong token", async () => {
    const missing = await push();
    expect([missing.code, missing.out]).toEqual([1, ""]);
    expect(missing.err).toMatch(/401 .*set ATPATCH_TOKEN/);
    process.env["ATPATCH_TOKEN"] = "another";
    expect((await push()).err).toMatch(/ATPATCH_TOKEN is not a token of this server/);
    expect((await push()).err).not.toContain("another");
  });

  it("says that nobody listens", async () => {
    const { code, err } = await push("--url", "http://127.0.0.1:1");
    expect(code).toBe(1);
    expect(err).toMatch(/127\.0\.0\.1:1 cannot be reached .*is the proxy running there\?/);
  });

  it("repeats what the server says of an unknown model", async () => {
    process.env["ATPATCH_TOKEN"] = "secret-token-of-the-test";
    expect((await push("--model", "other")).err).toMatch(/404 no model "other" is served here/);
  });
});
