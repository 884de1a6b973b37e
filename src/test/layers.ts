/**
 * Who may import whom: the dependency table of the design, as data. `.oxlintrc.json` carries the same table for the
 * linter; `layers.test.ts` holds both to it.
 */

/** What the files of one folder may import from other folders. */
export interface Layer {
  /** Folders, or single files of a folder that are its interface. */
  readonly values: readonly string[];
  /** Folders or files of which types alone may be imported. */
  readonly types: readonly string[];
}

const may = (values: readonly string[], types: readonly string[] = []): Layer => ({ values, types });

/** Folders of `src`. Tests, `test` and `bench` may import anything; so may the files that wire the process together. */
export const layers: Readonly<Record<string, Layer>> = {
  shared: may([]),
  onnx: may(["shared"]),
  attention: may(["shared", "onnx"]),
  hotfix: may(["shared", "onnx", "attention"]),
  detector: may(["shared"]),
  engine: may(["shared"]),
  tasks: may(["shared", "onnx/sparse-read.ts"]),
  metrics: may(["shared"], ["engine/engine.ts", "service/observer.ts"]),
  service: may(
    ["shared", "detector/policy.ts", "detector/published.ts", "engine/slice.ts"],
    ["engine/engine.ts", "tasks/task.ts", "tasks/model-samples.ts", "detector"],
  ),
  http: may(["shared", "service", "metrics", "detector/policy.ts"], ["detector"]),
  grpc: may(["shared", "service", "metrics"]),
  // Runs in the browser.
  console: may([]),
  tracing: may(["shared"], ["service/trace.ts"]),
  training: may(["shared", "detector", "hotfix/constants.ts"], ["engine/engine.ts", "tasks/task.ts"]),
  report: may(
    ["shared", "training", "service/attention-mass.ts"],
    ["detector", "engine/engine.ts", "tasks/task.ts"],
  ),
  cli: may(
    [
      "shared",
      "onnx",
      "attention",
      "hotfix",
      "detector",
      "engine",
      "tasks",
      "service",
      "metrics",
      "training",
      "report",
    ],
    [],
  ),
};

/** Files of `src` that wire the process together, and who besides each other may import them. */
export const wiring = {
  files: [
    "main.ts",
    "serve.ts",
    "compose.ts",
    "compose-engine.ts",
    "compose-model.ts",
    "compose-repair.ts",
    "compose-tokens.ts",
    "repair-main.ts",
    "settings.ts",
  ],
  importers: ["cli", "bench", "test"],
} as const;

/** Ways from a file in a folder, at most three levels deep, to the folders of `src`. */
const ways = ["../", "../../", "../../../"] as const;

/** One entry of `overrides` in `.oxlintrc.json`. */
export interface LintOverride {
  readonly files: readonly string[];
  readonly excludeFiles: readonly string[];
  readonly rules: Readonly<Record<string, unknown>>;
}

/** The table as the linter reads it: for each folder, what must not be imported, and what must be types alone. */
export function lintOverrides(): LintOverride[] {
  return Object.entries(layers).map(([folder, layer]) => ({
    files: [`src/${folder}/**`],
    excludeFiles: ["**/*.test.ts"],
    rules: { "no-restricted-imports": ["error", restrictions(folder, layer)] },
  }));
}

/** Options of `no-restricted-imports`. An exception lifts every pattern, so files of types alone are listed as paths. */
function restrictions(folder: string, { values, types }: Layer): object {
  const isFile = (entry: string): boolean => entry.endsWith(".ts");
  const folders = [...Object.keys(layers), "test", "bench"];
  const wired = wiring.importers.some((importer) => importer === folder) ? [] : wiring.files;
  const forbidden = folders.filter(
    (other) => other !== folder && !values.includes(other) && !types.includes(other),
  );
  const typeFolders = types.filter((entry) => !isFile(entry));
  const patterns = (entries: readonly string[]): string[] =>
    ways.flatMap((way) => entries.map((entry) => way + (isFile(entry) ? entry : `${entry}/**`)));
  const except = (entries: readonly string[]): string[] =>
    patterns(entries.filter(isFile)).map((pattern) => `!${pattern}`);
  const message = `${folder} may import types alone from here (src/test/layers.ts)`;
  return {
    paths: patterns(types.filter(isFile)).map((name) => ({ name, message, allowTypeImports: true })),
    patterns: [
      {
        group: [...patterns([...forbidden, ...wired]), ...except([...values, ...types])],
        message: `${folder} must not know this part (src/test/layers.ts)`,
      },
      ...(typeFolders.length > 0
        ? [{ group: [...patterns(typeFolders), ...except(values)], message, allowTypeImports: true }]
        : []),
    ],
  };
}
