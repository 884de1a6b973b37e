/** Where tokens come from: the settings, and a file that is read again when it changes or the process gets SIGHUP. */
import { unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import {
  adminEntry,
  generateToken,
  parseTokens,
  type TokenEntry,
  type TokenTable,
} from "./service/tokens.ts";
import type { Settings } from "./settings.ts";
import { AtPatchError, messageOf } from "./shared/errors.ts";

type TokenSettings = Pick<Settings, "adminToken" | "tokensFile">;

export interface ConfiguredTokens {
  readonly entries: readonly TokenEntry[];
  /** The token made for this run, or null when the operator configured one. */
  readonly generated: string | null;
}

/** @throws AtPatchError ATPATCH_BAD_SETTINGS when the file cannot be read, or holds anything wrong */
export async function readTokens({ adminToken, tokensFile }: TokenSettings): Promise<ConfiguredTokens> {
  const entries: TokenEntry[] = [];
  if (adminToken !== null) entries.push(adminEntry("admin", adminToken));
  if (tokensFile !== null) {
    const text = await readFile(tokensFile, "utf8").catch((cause: unknown) => {
      throw new AtPatchError("ATPATCH_BAD_SETTINGS", "ATPATCH_TOKENS_FILE: the file cannot be read", {
        cause,
      });
    });
    entries.push(...parseTokens(text));
  }
  if (entries.length > 0) return { entries, generated: null };
  const generated = generateToken();
  return { entries: [adminEntry("generated", generated)], generated };
}

export interface TokenReload {
  /** Told after every attempt; `why` says what is wrong with the file. */
  readonly done: (result: "ok" | "failed", why?: string) => void;
  /** How often the file is looked at, in milliseconds. */
  readonly everyMs?: number;
}

/**
 * Reads the tokens file again when it changes, and at SIGHUP. A file that is wrong changes nothing: the tokens known before
 * stay known.
 * @returns how to stop that
 */
export function watchTokens(
  settings: TokenSettings,
  table: TokenTable,
  { done, everyMs = 2_000 }: TokenReload,
): () => void {
  const { tokensFile } = settings;
  if (tokensFile === null) return () => {};
  const read = async (): Promise<void> => {
    try {
      table.replace((await readTokens(settings)).entries);
    } catch (error) {
      return done("failed", messageOf(error));
    }
    done("ok");
  };
  const reload = (): void => void read();
  // Looked at by path: editors and secret managers put another file in its place.
  watchFile(tokensFile, { interval: everyMs, persistent: false }, reload);
  process.on("SIGHUP", reload);
  return () => {
    unwatchFile(tokensFile, reload);
    process.off("SIGHUP", reload);
  };
}
