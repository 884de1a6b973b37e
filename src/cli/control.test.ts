/** The verbs that operate a running proxy, against one. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { atpatch, type Ran } from "../test/command-line.ts";
import { FileStore } from "../detector/file-store.ts";
import { adminEntry } from "../service/tokens.ts";
import { exampleDraft } from "../test/store.contract.ts";
import { markDetector, tinySample } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
let url: string;
let [first, second]: [string, string] = ["", ""];

beforeAll(async () => {
  server = await tinyServer({ tokens: [adminEntry("ops", "secret-token-of-the-test")] });
  url = await server.app.listen({ host: "127.0.0.1", port: 0 });
  const bundles = [5, 7].map((threshold) => markDetector(server.model.engine.description, { threshold }));
  [first, second] = (await Promise.all(
    bundles.map(async (bundle) => (await server.model.registry.upload(bundle, { actor: "test" })).id),
  )) as [string, string];
});
beforeEach(() => {
  process.env["ATPATCH_TOKEN"] = "secret-token-of-the-test";
});
afterAll(async () => {
  delete process.env["ATPATCH_TOKEN"];
  // The client keeps the connections of its calls open.
  server.app.server.closeAllConnections();
  await server.close();
});

const remote = (verb: string, ...args: string[]) => atpatch(verb, ...args, "--url", url, "--model", "tiny");
/** The one document of a verb that was done. */
async function json<T>(ran: Promise<Ran>): Promise<T> {
  const { code, out, err } = await ran;
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

describe("activate, rollback and status", () => {
  it("take a detector by the digits that metrics show, and tell what was before", async () => {
    expect(await remote("activate", first.slice(7, 19), "--reason", "go")).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${first.slice(7, 19)} is active since revision`),
    });
    await remote("activate", second);
    const { registry } = server.model;
    expect(await json(remote("rollback", "--reason", "too lax", "--json"))).toMatchObject({
      active: first,
      previous: second,
    });
    expect((await registry.history({ limit: 1 }))[0]).toMatchObject({ actor: "ops", reason: "too lax" });
    const stale = await remote("activate", "none", "--if-match", "0");
    expect([stale.code, stale.err]).toEqual([1, expect.stringMatching(/412 .* not 0/)]);
    const unknown = await remote("activate", "abcdef");
    expect([unknown.code, unknown.err]).toEqual([
      1,
      expect.stringContaining('no stored detector begins with "abcdef"'),
    ]);
    const status = await atpatch("status", "--url", url);
    expect(status.out).toMatch(/^tiny {2}tensor, 1 attention sites, ready\n/);
    expect(status.out).toMatch(new RegExp(`active +${first.slice(7, 19)}\n`));
    expect(await json(atpatch("status", "--url", url, "--model", "tiny", "--json"))).toMatchObject({
      models: [{ model: "tiny", active: first, policy: { mode: "enforce" } }],
    });
  });
});

describe("policy", () => {
  it("changes what the options name, together or not at all", async () => {
    const short = second.slice(7, 19);
    const set = [
      "--shadow",
      short,
      "--canary",
      short,
      "--percent",
      "12.5",
      "--max-trigger-rate",
      "0.2",
      "--guard-window",
      "30",
    ];
    const policy = {
      mode: "observe",
      onError: "open",
      shadow: second,
      canary: { detector: second, percent: 12.5 },
      guard: { window_s: 30, max_trigger_rate: 0.2 },
    };
    expect(await json(remote("policy", "--mode", "observe", ...set, "--json"))).toMatchObject({ policy });
    expect((await remote("policy")).out).toContain(
      `tiny: observe, on error open, shadow ${short}, canary ${short} for 12.5 %, guard at 20 % triggered within 30 s (revision `,
    );
    const more = json<object>(remote("policy", "--percent", "50", "--max-label-flip-rate", "0.1", "--json"));
    expect(await more).toMatchObject({
      policy: {
        ...policy,
        canary: { detector: second, percent: 50 },
        guard: { ...policy.guard, max_label_flip_rate: 0.1 },
      },
    });
    expect(
      await json(
        remote("policy", "--mode", "enforce", "--shadow", "none", "--canary", "none", "--no-guard", "--json"),
      ),
    ).toMatchObject({
      policy: { mode: "enforce", shadow: null, canary: null, guard: null },
    });
    expect((await remote("policy", "--canary", short)).code).toBe(2);
    expect((await remote("policy", "--percent", "5")).code).toBe(2);
    expect((await remote("policy", "--mode", "loud")).code).toBe(2);
    expect((await remote("policy", "--percent", "101")).code).toBe(2);
  });
});

describe("history", () => {
  it("shows and verifies what a proxy has, canary and guard written in any order included", async () => {
    await server.model.registry.setPolicy(
      { canary: { percent: 0.1, detector: second }, guard: { max_trigger_rate: 1e-7, window_s: 5 } },
      { actor: "ops", reason: 'quoted "reason", ünïcode' },
    );
    const { entries } = await json<{ entries: object[] }>(remote("history", "--limit", "3", "--json"));
    expect(entries).toHaveLength(3);
    expect((await remote("history")).out).toMatch(/ops {2}policy .*"quoted "reason", ünïcode"\n/);
    const verified = await json<{ entries: number; digest: string }>(remote("history", "--verify", "--json"));
    const all = await server.model.registry.history({ limit: 1000 });
    expect(verified).toMatchObject({
      verified: true,
      entries: all.length,
      digest: expect.stringMatching(/^sha256-/),
    });
    expect((await atpatch("history", "--model", "tiny")).code).toBe(2);
  });

  it("verifies a state folder, and finds what was changed in it", async () => {
    const state = await mkdtemp(join(tmpdir(), "atpatch-history-"));
    try {
      const store = await FileStore.open({ root: state, model: "signs" });
      for (const index of [1, 2, 3]) await store.append(exampleDraft(index, "why"));
      await store.close();
      const local = (...args: string[]) => atpatch("history", "--state", state, "--model", "signs", ...args);
      expect(await json(local("--verify", "--json"))).toMatchObject({
        entries: 3,
        verified: true,
        unfinished: false,
      });
      expect((await json<{ entries: object[] }>(local("--json", "--limit", "2"))).entries).toMatchObject([
        { sequence: 2 },
        { sequence: 1 },
      ]);
      const log = join(state, "signs", "control.jsonl");
      await appendFile(log, '{"sequence":3,');
      expect(await json(local("--verify", "--json"))).toMatchObject({ entries: 3, unfinished: true });
      await writeFile(log, (await readFile(log, "utf8")).replace('"why"', '"who"'));
      const changed = await local("--verify");
      expect([changed.code, changed.err]).toEqual([
        1,
        expect.stringContaining("entry 1: it does not continue the entry before"),
      ]);
      expect((await atpatch("history", "--state", state, "--model", "other")).err).toContain(
        "holds no history",
      );
    } finally {
      await rm(state, { recursive: true });
    }
  });
});

describe("watch", () => {
  it("prints what happens, beginning after an event that was seen", async () => {
    const { registry } = server.model;
    await registry.setPolicy({ mode: "off" }, { actor: "ops" });
    const [kept] = server.services.events.subscribe(() => {}, 0).missed.slice(-1);
    await registry.setPolicy(
      { mode: "enforce", canary: null, guard: null },
      { actor: "ops", reason: "again" },
    );
    const seen = await atpatch(
      "watch",
      "--url",
      url,
      "--model",
      "tiny",
      "--after",
      String(kept!.id),
      "--count",
      "1",
      "--json",
    );
    expect(JSON.parse(seen.out)).toMatchObject({ event: "policy", data: { model: "tiny", reason: "again" } });
    await server.app.inject({
      method: "POST",
      url: "/predict",
      payload: { instances: [tinySample({ 3: 8 })] },
    });
    const rate = await atpatch("watch", "--url", url, "--count", "1");
    expect(rate.out).toMatch(/^tiny {2}.*in 2 s\n$/);
  });

  it("says at once that a token is wrong", async () => {
    process.env["ATPATCH_TOKEN"] = "another";
    const { code, err } = await atpatch("watch", "--url", url);
    expect([code, err]).toEqual([1, expect.stringContaining("401")]);
    expect(err).not.toContain("another");
  });
});
