import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { layers, lintOverrides, wiring } from "./layers.ts";

const src = fileURLToPath(new URL("..", import.meta.url));

interface Import {
  /** Both relative to `src`. */
  readonly from: string;
  readonly to: string;
  readonly typesOnly: boolean;
}

const statements =
  /(?:^|\n)\s*(?:import|export)\s+(?<clause>[^;"']*?)\s*from\s*["'](?<from>\.[^"']*)["']|(?:^|\n)\s*import\s*["'](?<bare>\.[^"']*)["']|import\(\s*["'](?<dynamic>\.[^"']*)["']\s*\)|new URL\(\s*["'](?<url>\.[^"']*\.(?:ts|mjs|js))["']/g;

/** The relative imports of a source text: static, re-exports, dynamic, and files that are started as workers. */
function importsOf(file: string, text: string): Import[] {
  return [...text.matchAll(statements)].map(({ groups = {} }) => {
    const target = groups.from ?? groups.bare ?? groups.dynamic ?? groups.url ?? "";
    const clause = groups.clause ?? "";
    const names = /^\{(.*)\}$/s
      .exec(clause.trim())?.[1]
      ?.split(",")
      .map((name) => name.trim()) ?? [""];
    const inline = names.filter((name) => name !== "").every((name) => name.startsWith("type "));
    return {
      from: file,
      to: relative(src, resolve(src, dirname(file), target)),
      typesOnly: clause.startsWith("type ") || (groups.clause !== undefined && names[0] !== "" && inline),
    };
  });
}

function sourceFiles(): string[] {
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.m?ts$/.test(file) && !file.endsWith(".test.ts"))
    .filter((file) => !/^(test|bench)\//.test(file));
}

const folderOf = (file: string): string | null =>
  file.includes("/") ? file.slice(0, file.indexOf("/")) : null;
const covers = (entries: readonly string[], file: string): boolean =>
  entries.some((entry) => entry === file || entry === folderOf(file));

/** Why an import is not allowed, or null. */
function fault({ from, to, typesOnly }: Import): string | null {
  const [folder, target] = [folderOf(from), folderOf(to)];
  if (target === "test" || target === "bench") return `${from} imports ${to}: only tests and benchmarks may`;
  if (folder === null) return null;
  if (folder === target) return null;
  if (target === null) {
    const wires = wiring.files.some((file) => file === to) && !wiring.importers.some((one) => one === folder);
    return wires ? `${from} imports ${to}, which wires the parts` : null;
  }
  const layer = layers[folder];
  if (!layer) return `${from}: src/${folder} is not in the table`;
  if (covers(layer.values, to)) return null;
  if (!covers(layer.types, to)) return `${from} imports ${to}: ${folder} must not know ${target}`;
  return typesOnly ? null : `${from} imports values of ${to}: ${folder} may import its types alone`;
}

describe("imports of src", () => {
  const imports = sourceFiles().flatMap((file) => importsOf(file, readFileSync(join(src, file), "utf8")));

  it("go one way", () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.map(fault).filter((found) => found !== null)).toEqual([]);
  });

  it("name files that exist and end in .ts", () => {
    const odd = imports
      .filter(({ to }) => !/\.(ts|mjs)$/.test(to))
      .map(({ from, to }) => `${from} imports ${to}`);
    expect(odd).toEqual([]);
  });

  it("are restricted by the linter in the same way", () => {
    const config = JSON.parse(readFileSync(join(src, "../.oxlintrc.json"), "utf8")) as {
      overrides: { rules: Record<string, unknown> }[];
    };
    const restricting = config.overrides.filter(({ rules }) => "no-restricted-imports" in rules);
    expect(restricting).toEqual(lintOverrides());
  });
});

describe("importsOf", () => {
  it("sees every form of import and tells types from values", () => {
    const text = [
      'import { a } from "../onnx/a.ts";',
      'import type { B } from "../onnx/b.ts";',
      'import {\n  type C,\n  type D,\n} from "../onnx/c.ts";',
      'import { type E, e } from "../onnx/e.ts";',
      'import "../onnx/f.ts";',
      'export { g } from "../onnx/g.ts";',
      'export * from "../onnx/h.ts";',
      'const i = await import("../onnx/i.ts");',
      'new Worker(new URL("./worker.ts", import.meta.url));',
      'import { z } from "zod";',
    ].join("\n");
    expect(importsOf("http/x.ts", text).map(({ to, typesOnly }) => [to, typesOnly])).toEqual([
      ["onnx/a.ts", false],
      ["onnx/b.ts", true],
      ["onnx/c.ts", true],
      ["onnx/e.ts", false],
      ["onnx/f.ts", false],
      ["onnx/g.ts", false],
      ["onnx/h.ts", false],
      ["onnx/i.ts", false],
      ["http/worker.ts", false],
    ]);
  });
});

describe("fault", () => {
  const value = (from: string, to: string): string | null => fault({ from, to, typesOnly: false });
  const type = (from: string, to: string): string | null => fault({ from, to, typesOnly: true });

  it.each([
    ["http/app.ts", "engine/engine.ts"],
    ["http/routes/infer.ts", "onnx/model.ts"],
    ["http/app.ts", "hotfix/op.ts"],
    ["shared/tensor.ts", "onnx/model.ts"],
    ["onnx/model.ts", "attention/site.ts"],
    ["attention/site.ts", "hotfix/op.ts"],
    ["engine/engine.ts", "hotfix/op.ts"],
    ["tasks/task.ts", "detector/bundle.ts"],
    ["service/run.ts", "engine/ort-engine.ts"],
    ["cli/train.ts", "http/app.ts"],
    ["service/run.ts", "compose.ts"],
    ["service/run.ts", "test/bundles.ts"],
  ])("%s may not import even types of %s", (from, to) => {
    expect(type(from, to)).not.toBeNull();
  });

  it("allows interfaces as types alone, and the wiring everything", () => {
    expect(type("service/run.ts", "engine/engine.ts")).toBeNull();
    expect(value("service/run.ts", "engine/engine.ts")).toContain("types alone");
    expect(value("http/app.ts", "service/run.ts")).toBeNull();
    expect(value("cli/serve.ts", "serve.ts")).toBeNull();
    expect(value("compose.ts", "engine/ort-engine.ts")).toBeNull();
  });
});
