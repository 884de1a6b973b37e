/** Which patch of an image a key column stands for. */
import type { PatchDescription } from "../shared/patched-model.ts";
import type { Size } from "./image-processor.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { ColumnPlace, KeyLayout } from "./task.ts";

/** Patches of an image, row by row, the first at key position `firstKey`. */
export type Grid = Extract<KeyLayout, { kind: "grid" }>;

/** Positions before the patches that are believed without being told: [CLS], a distillation token, registers. */
const mostLeading = 16;

/**
 * The grid of a model's first key axis. Rows and columns come from `grid` of `atpatch.json`, else from the input's size
 * and `patch_size` of `config.json`, else from the square root of the number of keys. The first key comes from
 * `atpatch.json`, else it is what the keys leave over, else 1. Null when nothing tells the grid or keys contradict it.
 */
export function patchGrid(
  folder: Pick<ModelFolder, "config" | "settings">,
  input: Size | null,
  description: Pick<PatchDescription, "sites">,
): Grid | null {
  const keys = description.sites.find((site) => site.axis === 0)?.keys ?? null;
  const told = folder.settings.firstKey;
  const size = gridSize(folder, input) ?? squareGrid(keys, told);
  if (!size) return null;
  const [rows, columns] = size;
  const left = keys === null ? null : keys - rows * columns;
  const firstKey = told ?? (left !== null && left >= 0 && left <= mostLeading ? left : 1);
  if (keys !== null && firstKey + rows * columns > keys) return null;
  return { kind: "grid", firstKey, rows, columns };
}

function gridSize(
  { config, settings }: Pick<ModelFolder, "config" | "settings">,
  input: Size | null,
): readonly [number, number] | null {
  if (settings.grid) return [settings.grid[0]!, settings.grid[1]!];
  const [height, width] = input ? [input.height, input.width] : (config?.imageSize ?? []);
  const [patchHeight, patchWidth] = config?.patchSize ?? [];
  if (!height || !width || !patchHeight || !patchWidth) return null;
  const size = [Math.floor(height / patchHeight), Math.floor(width / patchWidth)] as const;
  return size[0] > 0 && size[1] > 0 ? size : null;
}

/** The largest square that leaves few keys over; with a told first key nothing may be left over. */
function squareGrid(keys: number | null, firstKey: number | undefined): readonly [number, number] | null {
  if (keys === null) return null;
  const edge = Math.floor(Math.sqrt(keys - (firstKey ?? 0)));
  const left = keys - (firstKey ?? 0) - edge * edge;
  const fits = edge > 1 && (firstKey === undefined ? left <= 2 : left === 0);
  return fits ? [edge, edge] : null;
}

/** Place of a key column in an image of that size, or null when it stands for no patch. The box is in whole pixels. */
export function locatePatch(grid: Grid, image: Size, column: number): ColumnPlace | null {
  const index = column - grid.firstKey;
  if (index < 0 || index >= grid.rows * grid.columns) return null;
  const row = Math.floor(index / grid.columns);
  const patchColumn = index % grid.columns;
  const [height, width] = [Math.floor(image.height / grid.rows), Math.floor(image.width / grid.columns)];
  return { patch: [row, patchColumn], box: [patchColumn * width, row * height, width, height] };
}
