import type { ColumnPlace } from "../tasks/task.ts";

/** Where a key column is, in words. */
export function placeText(place: ColumnPlace | null, column: number): string {
  if (place === null) return `#${column}`;
  if ("patch" in place) return `patch(${place.patch.join(",")})`;
  return "token" in place ? JSON.stringify(place.token) : place.feature;
}
