// Puts the files of the page that need no compiler beside those that do: node src/console/copy-files.mjs <folder>
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: node copy-files.mjs <folder>");
await mkdir(folder, { recursive: true });
for (const file of ["index.html", "console.css", "icon.svg"])
  await copyFile(join(here, file), join(folder, file));
