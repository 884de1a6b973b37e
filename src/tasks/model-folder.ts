/** A model folder on disk: which files it has and what they say. Nothing in it is ever written. */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { AtPatchError } from "../shared/errors.ts";
import { parseAtPatchSettings, type AtPatchSettings } from "./atpatch-json.ts";
import {
  FolderFiles,
  folderOfModelFile,
  versionName,
  type FolderFile,
  type JsonObject,
} from "./folder-files.ts";
import { parseHfConfig, type HfConfig } from "./hf-config.ts";

/** One servable version: its own version directory, or "1". */
export interface ModelVersion {
  readonly version: string;
  readonly model: FolderFile;
}

/** Something that was not told but concluded, and from which file. */
export interface Inferred {
  readonly what: string;
  readonly value: unknown;
  readonly from: string;
}

export interface ModelFolder {
  /** Name under which the model is served. */
  readonly name: string;
  /** Real path of the folder; for opening files only, never for messages. */
  readonly directory: string;
  readonly version: string;
  /** Every version in ascending order; at least one. */
  readonly versions: readonly ModelVersion[];
  readonly model: FolderFile;
  readonly config: HfConfig | null;
  readonly preprocessor: JsonObject | null;
  readonly tokenizer: FolderFile | null;
  readonly tokenizerConfig: JsonObject | null;
  readonly settings: AtPatchSettings;
  /** Bundles shipped with the model. */
  readonly detectors: readonly FolderFile[];
  readonly labels: readonly string[] | null;
  readonly inferred: readonly Inferred[];
}

const mebibyte = 1 << 20;
/** Upper bounds in bytes; a file over its limit is an error, never half-read. */
export const fileLimits = { json: 16 * mebibyte, tokenizer: 128 * mebibyte, bundle: 64 * mebibyte } as const;

const modelNames = ["model.onnx", "onnx/model.onnx"];

/**
 * Reads a model folder, or the folder of an `.onnx` file with that file as its model.
 * With several version directories the highest is taken unless `version` says otherwise; files beside the version's
 * model go before those of the folder.
 * @throws AtPatchError ATPATCH_BAD_MODEL naming the file, relative to the folder, and what is wrong with it
 */
export async function readModelFolder(
  path: string,
  options: { version?: string } = {},
): Promise<ModelFolder> {
  const chosen = await modelFileIfFile(path);
  const files = await FolderFiles.open(chosen ? folderOfModelFile(chosen) : path);
  const versions = chosen ? [await singleFile(files, chosen)] : await findVersions(files);
  const current = options.version ? versions.find((v) => v.version === options.version) : versions.at(-1);
  if (!current) {
    throw new AtPatchError(
      "ATPATCH_BAD_MODEL",
      options.version
        ? `there is no version ${options.version}, only ${versions.map((v) => v.version).join(", ")}`
        : await missingModel(files),
    );
  }

  const named = (name: string): Promise<FolderFile | null> =>
    files.findFirst(
      current.model.relative.startsWith(`${current.version}/`)
        ? [`${current.version}/${name}`, name]
        : [name],
    );
  const json = async (name: string): Promise<JsonObject | null> => {
    const file = await named(name);
    return file && files.json(file, fileLimits.json);
  };
  const config = await json("config.json");
  const settings = await json("atpatch.json");
  const parsed = {
    config: config && parseHfConfig(config),
    preprocessor: await json("preprocessor_config.json"),
    tokenizer: await named("tokenizer.json"),
    tokenizerConfig: await json("tokenizer_config.json"),
    settings: settings ? parseAtPatchSettings(settings) : {},
  };
  const labels = parsed.settings.labels ?? parsed.config?.labels ?? null;
  return {
    name: basename(files.root),
    directory: files.root,
    version: current.version,
    versions,
    model: current.model,
    ...parsed,
    detectors: await findDetectors(files),
    labels,
    inferred: inferences(current.model, parsed, labels),
  };
}

/**
 * Absolute path of the ONNX file that a folder or an `.onnx` path stands for.
 * @throws AtPatchError ATPATCH_BAD_MODEL when there is none
 */
export async function modelFile(pathToFolderOrOnnx: string): Promise<string> {
  const file = await modelFileIfFile(pathToFolderOrOnnx);
  if (file) return file;
  const files = await FolderFiles.open(pathToFolderOrOnnx);
  const current = (await findVersions(files)).at(-1);
  if (!current) throw new AtPatchError("ATPATCH_BAD_MODEL", await missingModel(files));
  return current.model.absolute;
}

/** Paths of the sub-folders of `directory` that hold a model, sorted by name. */
export async function listModelFolders(directory: string): Promise<string[]> {
  const root = await FolderFiles.open(directory);
  const found: string[] = [];
  for (const entry of await readdir(root.root, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || !(entry.isDirectory() || entry.isSymbolicLink())) continue;
    const path = join(root.root, entry.name);
    if (entry.isSymbolicLink() && !(await stat(path).catch(() => null))?.isDirectory()) continue;
    if ((await findVersions(await FolderFiles.open(path))).length > 0) found.push(path);
  }
  return found.sort();
}

async function modelFileIfFile(path: string): Promise<string | null> {
  const info = await stat(path).catch(() => null);
  return info?.isFile() ? realpath(path) : null;
}

async function singleFile(files: FolderFiles, absolute: string): Promise<ModelVersion> {
  const inside = relative(files.root, absolute).split(sep).join("/");
  const model = await files.find(inside);
  if (!model) throw new AtPatchError("ATPATCH_BAD_MODEL", `${basename(absolute)}: cannot be read`);
  const first = inside.split("/", 1).join();
  return { version: versionName.test(first) ? first : "1", model };
}

async function findVersions(files: FolderFiles): Promise<ModelVersion[]> {
  const versions: ModelVersion[] = [];
  for (const version of (await files.list("")).filter((entry) => versionName.test(entry))) {
    const model = await files.findFirst(modelNames.map((name) => `${version}/${name}`));
    if (model) versions.push({ version, model });
  }
  if (versions.length > 0) return versions.sort((a, b) => Number(a.version) - Number(b.version));
  const model = await files.findFirst(modelNames);
  return model ? [{ version: "1", model }] : [];
}

async function missingModel(files: FolderFiles): Promise<string> {
  const others = [
    ...(await files.list("")),
    ...(await files.list("onnx")).map((name) => `onnx/${name}`),
  ].filter((name) => name.endsWith(".onnx"));
  const hint = others.length > 0 ? `; found ${others.join(", ")}: name that file instead of the folder` : "";
  return `the folder has no ${modelNames.join(" or ")}${hint}`;
}

async function findDetectors(files: FolderFiles): Promise<FolderFile[]> {
  const names = (await files.list("detectors")).filter((name) => name.endsWith(".safetensors"));
  const found = await Promise.all(names.map((name) => files.find(`detectors/${name}`)));
  for (const file of found) {
    if (file && file.bytes > fileLimits.bundle) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `${file.relative}: has ${file.bytes} bytes, a bundle has at most ${fileLimits.bundle}`,
      );
    }
  }
  return found.filter((file) => file !== null);
}

function inferences(
  model: FolderFile,
  parsed: Pick<ModelFolder, "config" | "settings">,
  labels: readonly string[] | null,
): Inferred[] {
  const inferred: Inferred[] = [{ what: "model", value: model.relative, from: "the files of the folder" }];
  if (labels && !parsed.settings.labels)
    inferred.push({ what: "labels", value: labels, from: "config.json" });
  if (parsed.config?.problemType) {
    inferred.push({ what: "problem_type", value: parsed.config.problemType, from: "config.json" });
  }
  if (parsed.config?.patchSize) {
    inferred.push({ what: "patch_size", value: parsed.config.patchSize, from: "config.json" });
  }
  return inferred;
}
