/** Holds the external data of a model against its folder before the runtime opens anything. */
import { AtPatchError } from "../shared/errors.ts";
import type { ExternalFile } from "../shared/patched-model.ts";
import { FolderFiles } from "./folder-files.ts";

/**
 * Every file must exist inside the folder, links resolved, and be as long as the model says.
 * @throws AtPatchError ATPATCH_BAD_MODEL naming the file
 */
export async function checkExternalData(folder: string, files: readonly ExternalFile[]): Promise<void> {
  if (files.length === 0) return;
  const inside = await FolderFiles.open(folder);
  for (const { location, bytes } of files) {
    const found = await inside.find(location);
    if (!found) {
      const hint = "put the model's external data next to it";
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `the model reads weights from ${location}, which is missing: ${hint}`,
      );
    }
    if (found.bytes < bytes) {
      throw new AtPatchError(
        "ATPATCH_BAD_MODEL",
        `the model reads ${bytes} bytes of weights from ${location}, which has ${found.bytes}: it is cut off or another file`,
      );
    }
  }
}
