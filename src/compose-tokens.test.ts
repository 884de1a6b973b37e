import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { readTokens, watchTokens } from "./compose-tokens.ts";
import { TokenTable } from "./service/tokens.ts";
import { sha256 } from "./shared/digest.ts";

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atpatch-tokens-"));
  file = join(folder, "tokens.json");
});
afterAll(() => rm(folder, { recursive: true }));

const content = (...tokens: string[]): string =>
  JSON.stringify(tokens.map((token) => ({ name: token, scopes: ["read"], sha256: sha256(token) })));
/** Puts another file in its place, as editors and secret managers do. */
async function put(text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

it("takes a changed tokens file over, and keeps what it knew when the file is wrong", async () => {
  await put(content("one"));
  const settings = { adminToken: "root-token", tokensFile: file };
  const { entries, generated } = await readTokens(settings);
  const table = new TokenTable(entries);
  const results: string[] = [];
  const stop = watchTokens(settings, table, {
    done: (result, why) => results.push(`${result} ${why ?? ""}`),
    everyMs: 10,
  });
  const known = (): boolean[] => ["one", "two", "root-token"].map((token) => table.find(token) !== null);
  const after = (count: number) => vi.waitFor(() => expect(results.length).toBe(count), { timeout: 10_000 });
  try {
    expect([generated, known()]).toEqual([null, [true, false, true]]);
    await put(content("two"));
    await after(1);
    expect(known()).toEqual([false, true, true]);
    await put("[{}]");
    await after(2);
    expect(known()).toEqual([false, true, true]);
    expect(results[1]).toMatch(/^failed ATPATCH_TOKENS_FILE: \[0\]\.name/);
    await put(content("one", "two"));
    await after(3);
    process.emit("SIGHUP");
    await after(4);
    expect([known(), results[3]]).toEqual([[true, true, true], "ok "]);
  } finally {
    stop();
  }
  await put(content("two"));
  process.emit("SIGHUP");
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(results).toHaveLength(4);
});
