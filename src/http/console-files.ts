/** The operator's page as it is sent: its files, read once, with the headers that lock it in. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface ConsoleFile {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
}

/** Where the build leaves the page, seen from the built files and from the sources. */
export const consoleFolder = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/console" : "../console", import.meta.url),
);

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * Everything comes from this server, nothing is written into the page as markup, nobody frames it, and pictures are those that
 * the operator chose.
 */
export const consoleHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "cache-control": "no-cache",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The files by name; none when the page was not built. */
export async function readConsole(folder: string): Promise<ReadonlyMap<string, ConsoleFile>> {
  const names = await readdir(folder).catch(() => []);
  const files = names
    .filter((name) => extname(name) in types)
    .map(async (name): Promise<[string, ConsoleFile]> => {
      const bytes = await readFile(join(folder, name));
      const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
      return [name, { type: types[extname(name)]!, etag, bytes }];
    });
  return new Map(await Promise.all(files));
}
