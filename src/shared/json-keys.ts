/**
 * Whether an object somewhere in a JSON text has the same key twice. `JSON.parse` keeps the last one silently, so two
 * readers may disagree on what such a text says.
 * @param text valid JSON
 */
export function hasDuplicateKeys(text: string): boolean {
  /** Keys of the objects that are open; null stands for an array. */
  const open: (Set<string> | null)[] = [];
  const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;
  let key: string | null = null;
  for (const [token] of text.matchAll(tokens)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (token !== ":") key = token;
    else if (key !== null) {
      const name: unknown = JSON.parse(key);
      const keys = open.at(-1);
      if (keys?.has(String(name))) return true;
      keys?.add(String(name));
    }
  }
  return false;
}
