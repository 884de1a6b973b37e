/** Protected attributes of a table: who is privileged, and what else a row could say there. */
import type { Column } from "./atpatch-json.ts";
import { isJsonObject } from "./folder-files.ts";
import type { ProtectedAttribute } from "./task.ts";

/** The protected columns of a table, in its order. */
export function protectedAttributes(columns: readonly Column[]): ProtectedAttribute[] {
  return columns.flatMap((column, index) => {
    if (column.protected === undefined) return [];
    const read = (instance: unknown): unknown =>
      Array.isArray(instance) ? instance[index] : isJsonObject(instance) ? instance[column.name] : undefined;
    return [
      {
        name: column.name,
        isPrivileged: (instance: unknown) => isPrivileged(column, read(instance)),
        values: column.protected.values ?? (column.kind === "category" ? column.categories : []),
        withValue: (instance: unknown, value: unknown) =>
          Array.isArray(instance)
            ? instance.with(index, value)
            : { ...(instance as object), [column.name]: value },
      },
    ];
  });
}

function isPrivileged(column: Column, value: unknown): boolean {
  if (column.kind === "category") {
    const name = typeof value === "number" ? column.categories[value] : value;
    return column.protected?.privileged.includes(String(name)) ?? false;
  }
  const [, sign = "", bound = ""] =
    /^\s*(<=|>=|<|>)\s*(\S+)\s*$/.exec(column.protected?.privileged ?? "") ?? [];
  const [given, limit] = [Number(value), Number(bound)];
  if (sign === "<") return given < limit;
  if (sign === "<=") return given <= limit;
  return sign === ">" ? given > limit : given >= limit;
}
