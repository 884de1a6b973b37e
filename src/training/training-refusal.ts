/** Training that ends without a detector because of what was found, with the findings. */
import { AtPatchError } from "../shared/errors.ts";
import type { Rate } from "./wilson.ts";

/** A share of the failing samples that speaks for or against attention columns as the cause. */
export interface Finding {
  readonly what: string;
  readonly rate: Rate;
}

export class TrainingRefusal extends AtPatchError {
  readonly findings: readonly Finding[];

  constructor(message: string, findings: readonly Finding[]) {
    super("ATPATCH_TRAINING", message);
    this.name = "TrainingRefusal";
    this.findings = findings;
  }
}
