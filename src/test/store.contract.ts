/** What every {@link DetectorStore} does; each implementation's test runs this suite. */
import { describe, expect, it } from "vitest";
import { bundleId } from "../detector/bundle.ts";
import type { ControlDraft } from "../detector/control-log.ts";
import { defaultPolicy } from "../detector/policy.ts";
import type { DetectorStore } from "../detector/store.ts";
import { sha256 } from "../shared/digest.ts";

/** A change to `revision` with the given reason. */
export function exampleDraft(revision: number, reason: string | null = null): ControlDraft {
  const state = { active: null, previous: null, policy: defaultPolicy };
  return {
    revision,
    at: "2026-01-01T00:00:00.000Z",
    actor: "alice",
    action: "policy",
    detector: null,
    reason,
    before: state,
    after: { ...state, active: bundleId(Uint8Array.of(revision)) },
  };
}

const content = Uint8Array.of(1, 2, 3);
const wrongIds = [
  bundleId(Uint8Array.of(9)),
  "",
  "none",
  "../control.jsonl",
  `${bundleId(content)}\n`,
  `x/../${bundleId(content)}`,
  bundleId(content).toUpperCase(),
];

/** @param open makes a new, empty store */
export function testStore(name: string, open: () => Promise<DetectorStore>): void {
  describe(`${name}: detectors`, () => {
    it("stores bytes under their digest, once", async () => {
      const store = await open();
      expect(await store.put(content)).toEqual({ id: `sha256-${sha256(content)}`, created: true });
      expect(await store.put(Uint8Array.from(content))).toEqual({ id: bundleId(content), created: false });
      expect(Uint8Array.from(await store.get(bundleId(content)))).toEqual(content);
      expect(await store.list()).toHaveLength(1);
    });

    it("keeps what it has when the caller's arrays change", async () => {
      const store = await open();
      const bytes = Uint8Array.from(content);
      const { id } = await store.put(bytes);
      bytes.fill(0);
      (await store.get(id)).fill(0);
      expect(Uint8Array.from(await store.get(id))).toEqual(content);
    });

    it("lists the oldest first, with size and time", async () => {
      const store = await open();
      expect(await store.list()).toEqual([]);
      const before = Date.now();
      for (const size of [3, 1, 2]) {
        await store.put(new Uint8Array(size));
        await new Promise((done) => setTimeout(done, 5));
      }
      const list = await store.list();
      expect(list.map(({ id, size }) => [id, size])).toEqual(
        [3, 1, 2].map((size) => [bundleId(new Uint8Array(size)), size]),
      );
      for (const stored of list) expect(await store.find(stored.id)).toEqual(stored);
      for (const { uploadedAt } of list) {
        expect(new Date(uploadedAt).toISOString()).toBe(uploadedAt);
        expect(Date.parse(uploadedAt)).toBeGreaterThanOrEqual(before - 1000);
        expect(Date.parse(uploadedAt)).toBeLessThanOrEqual(Date.now() + 1000);
      }
    });

    it("deletes, and takes the same bytes anew afterwards", async () => {
      const store = await open();
      const { id } = await store.put(content);
      await store.delete(id);
      expect(await store.list()).toEqual([]);
      await expect(store.get(id)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
      expect(await store.put(content)).toEqual({ id, created: true });
    });

    it.each(wrongIds)("knows no detector %j", async (id) => {
      const store = await open();
      await store.put(content);
      await expect(store.get(id)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
      await expect(store.delete(id)).rejects.toMatchObject({ code: "ATPATCH_UNKNOWN_DETECTOR" });
      expect(await store.list()).toHaveLength(1);
    });

    it("takes many at once", async () => {
      const store = await open();
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, index) => store.put(Uint8Array.of(index % 4))),
      );
      expect(new Set(results.map(({ id }) => id)).size).toBe(4);
      expect(await store.list()).toHaveLength(4);
    });
  });

  describe(`${name}: control log`, () => {
    it("is empty at first", async () => {
      const store = await open();
      expect(await store.last()).toBeNull();
      expect(await store.read()).toEqual([]);
    });

    it("numbers entries and chains each to the one before", async () => {
      const store = await open();
      const first = await store.append(exampleDraft(1));
      const second = await store.append(exampleDraft(2));
      expect(first).toEqual({ ...exampleDraft(1), sequence: 0, parent: null });
      expect(second).toEqual({
        ...exampleDraft(2),
        sequence: 1,
        parent: `sha256-${sha256(JSON.stringify(first))}`,
      });
      expect(await store.last()).toEqual(second);
      expect(await store.read()).toEqual([second, first]);
    });

    it("keeps any text", async () => {
      const store = await open();
      const texts = ["", "line\nline\r\n", '"\\"', "ü \u2028 \u0000 \ud83d\ude00", "x".repeat(100_000)];
      for (const [index, text] of texts.entries()) await store.append(exampleDraft(index, text));
      expect((await store.read()).map(({ reason }) => reason)).toEqual(texts.toReversed());
    });

    it("gives pages, the newest first", async () => {
      const store = await open();
      for (let index = 0; index < 7; index += 1)
        await store.append(exampleDraft(index, `${index}`.repeat(index)));
      const all = await store.read();
      expect(all.map(({ sequence }) => sequence)).toEqual([6, 5, 4, 3, 2, 1, 0]);
      for (let limit = 0; limit <= 8; limit += 1) {
        expect(await store.read({ limit })).toEqual(all.slice(0, limit));
        for (let before = 0; before <= 8; before += 1) {
          const older = all.filter(({ sequence }) => sequence < before);
          expect(await store.read({ limit, before })).toEqual(older.slice(0, limit));
        }
      }
    });

    it("orders entries that are appended at once", async () => {
      const store = await open();
      const entries = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.append(exampleDraft(index))),
      );
      expect(entries.map(({ sequence, revision }) => [sequence, revision])).toEqual(
        Array.from({ length: 20 }, (_, index) => [index, index]),
      );
      expect(await store.read()).toEqual(entries.toReversed());
    });
  });
}
