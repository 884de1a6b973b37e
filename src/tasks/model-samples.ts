/** What can be tried out on a model: the samples that lie in its folder, and how an instance of a table is written. */
import { parse } from "node:path";
import { AtPatchError } from "../shared/errors.ts";
import type { Column } from "./atpatch-json.ts";
import { FolderFiles } from "./folder-files.ts";
import type { ModelFolder } from "./model-folder.ts";

/** A sample shipped with a model. */
export interface ModelSample {
  readonly name: string;
  /** What is posted to `:predict`. */
  readonly instance: unknown;
}

export interface TryOut {
  /** Columns of a table in feature order; null for other models. */
  readonly columns: readonly Pick<Column, "name" | "kind">[] | null;
  readonly samples: readonly ModelSample[];
}

/** Samples that are offered; more are no help for choosing one. */
const mostSamples = 24;
/** Instances that one JSON file adds. */
const mostOfFile = 6;
const largestFile = 4 * 2 ** 20;
const pictures = new Set([".png", ".jpg", ".jpeg", ".webp"]);

/**
 * Reads the folder `samples`: pictures, and JSON files of the form `{"instances": […]}`. Others are passed over.
 * @throws AtPatchError ATPATCH_BAD_MODEL when it cannot be read
 */
export async function readTryOut({ directory, settings }: ModelFolder): Promise<TryOut> {
  const files = await FolderFiles.open(directory);
  const samples: ModelSample[] = [];
  for (const name of await files.list("samples")) {
    samples.push(...(await samplesOf(files, name)));
    if (samples.length >= mostSamples) break;
  }
  return { columns: settings.columns ?? null, samples: samples.slice(0, mostSamples) };
}

async function samplesOf(files: FolderFiles, file: string): Promise<ModelSample[]> {
  const { name, ext } = parse(file.toLowerCase());
  const isPicture = pictures.has(ext);
  if (!isPicture && ext !== ".json") return [];
  const found = await files.find(`samples/${file}`).catch(() => null);
  if (found === null || found.bytes > largestFile) return [];
  const title = name.replaceAll(/[-_]+/g, " ");
  if (isPicture) {
    const bytes = await files.read(found, largestFile);
    return [{ name: title, instance: { b64: Buffer.from(bytes).toString("base64") } }];
  }
  const { instances } = await files.json(found, largestFile).catch((error: unknown) => {
    if (error instanceof AtPatchError) return { instances: [] };
    throw error;
  });
  if (!Array.isArray(instances)) return [];
  return instances
    .slice(0, mostOfFile)
    .map((instance: unknown, i) => ({ name: instances.length > 1 ? `${title} ${i + 1}` : title, instance }));
}
