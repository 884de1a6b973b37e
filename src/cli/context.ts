/** What every verb shares: its printer and the exit codes. */
import { AtPatchError } from "../shared/errors.ts";
import type { Output } from "./output.ts";

/** 0 done, 1 failed, 2 wrong usage, 3 the model cannot be patched. */
export const exitCodes = { done: 0, failed: 1, usage: 2, refused: 3 } as const;

/** What a verb is given besides its own arguments. */
export interface Context {
  readonly output: (options: { readonly json?: boolean }) => Output;
  /** Makes the process end with this code although nothing was thrown. */
  readonly exitWith: (code: number) => void;
}

/** Exit code of a failure. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AtPatchError)) return exitCodes.failed;
  if (error.code === "ATPATCH_MODEL_REFUSED" || error.code === "ATPATCH_BAD_MODEL") return exitCodes.refused;
  return error.code === "ATPATCH_BAD_SETTINGS" ? exitCodes.usage : exitCodes.failed;
}
