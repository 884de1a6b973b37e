import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = join(root, "src/console");

describe("the console", () => {
  let folder: string;
  let server: TinyServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "atpatch-console-"));
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    await run(process.execPath, [compiler, "-p", join(sources, "tsconfig.build.json"), "--outDir", folder]);
    await run(process.execPath, [join(sources, "copy-files.mjs"), folder]);
    server = await tinyServer({ console: folder });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const get = (url: string, headers: Record<string, string> = {}) => server.app.inject({ url, headers });

  it("is one page with every file it names, locked in by its headers", async () => {
    const page = await get("/console");
    expect(page.statusCode).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    const policy = String(page.headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(page.headers).toMatchObject({ "x-content-type-options": "nosniff", "x-frame-options": "DENY" });
    // Nothing that the policy would block, and nothing from elsewhere.
    expect(page.body).not.toMatch(/<style|style=|\son\w+=|https?:\/\//);
    const named = [...page.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, url]) => url!);
    expect(named).toContain("console/main.js");
    for (const url of named) expect((await get(`/${url}`)).statusCode, url).toBe(200);
  });

  it("sends the modules that its modules import, and nothing else of the server", async () => {
    const modules = (await readdir(folder)).filter((name) => name.endsWith(".js"));
    expect(modules.length).toBeGreaterThan(20);
    for (const name of modules) {
      const file = await get(`/console/${name}`);
      expect(file.headers["content-type"]).toBe("text/javascript; charset=utf-8");
      for (const [, path] of file.body.matchAll(/from "([^"]+)"/g)) {
        expect(path).toMatch(/^\.\/[\w-]+\.js$/);
        expect(modules).toContain(path!.slice(2));
      }
    }
    for (const path of [
      "/console/main.ts",
      "/console/..%2Findex.js",
      "/console/tsconfig.json",
      "/console/nothing.js",
    ]) {
      expect((await get(path)).statusCode, path).toBe(404);
    }
  });

  it("is not sent again when the browser has it, and is found with a slash too", async () => {
    const { etag } = (await get("/console/console.css")).headers;
    expect((await get("/console/console.css", { "if-none-match": String(etag) })).statusCode).toBe(304);
    const redirected = await get("/console/");
    expect([redirected.statusCode, redirected.headers.location]).toEqual([302, "../console"]);
  });

  it("puts no text into the page as markup", async () => {
    for (const name of (await readdir(sources)).filter((file) => file.endsWith(".ts"))) {
      if (name.endsWith(".test.ts")) continue;
      const text = await readFile(join(sources, name), "utf8");
      expect(text, name).not.toMatch(
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|localStorage|sessionStorage|cookie/,
      );
    }
  });
});

describe("a server whose console was not built", () => {
  it("says how to build it", async () => {
    const server = await tinyServer({ console: join(tmpdir(), "atpatch-no-such-folder") });
    try {
      const answer = await server.app.inject({ url: "/console" });
      expect([answer.statusCode, answer.json<{ error: string }>().error]).toEqual([
        404,
        expect.stringContaining("npm run build"),
      ]);
    } finally {
      await server.close();
    }
  });
});
