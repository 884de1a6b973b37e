/**
 * A look at JSON before it is parsed. A list or object of three bytes takes dozens in memory and a microsecond to make, so
 * a body within the limit could still occupy the process for seconds.
 */
import { AtPatchError } from "../shared/errors.ts";

/** Characters that lists, objects, their members and strings begin with. */
const structure = ["[", "{", ":", '"'] as const;

/** Most of each; a nested tensor of 32 images of 224×224 has a tenth of it. */
export const mostStructure = 2 ** 18;

/** @throws AtPatchError ATPATCH_TOO_LARGE */
export function checkJsonSize(text: string): void {
  if (text.length <= mostStructure) return;
  for (const character of structure) {
    let count = 0;
    for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) {
      count += 1;
      if (count <= mostStructure) continue;
      const what = `the body holds more than ${mostStructure} of the character ${character}`;
      throw new AtPatchError("ATPATCH_TOO_LARGE", `${what}: send tensors flat or as binary data`);
    }
  }
}
