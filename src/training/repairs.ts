/** What the model answers when given columns are repaired; every (reference, sample, columns) is run once. */
import type { ModelRuns } from "./model-runs.ts";
import { predicted } from "./model-runs.ts";
import type { ReferenceKind } from "./detector-tensors.ts";

export interface Repair {
  readonly sample: number;
  /** Columns to repair; with none the unpatched answer stays. */
  readonly columns: readonly number[];
}

export class Repairs {
  readonly #runs: ModelRuns;
  readonly #answers: readonly number[];
  readonly #detectorOf: (kind: ReferenceKind) => Promise<string>;
  readonly #known = new Map<string, number>();

  /**
   * @param answers unpatched prediction of every sample
   * @param detectorOf publishes a detector that only carries the reference of that kind, and gives its id
   */
  constructor(
    runs: ModelRuns,
    answers: readonly number[],
    detectorOf: (kind: ReferenceKind) => Promise<string>,
  ) {
    this.#runs = runs;
    this.#answers = answers;
    this.#detectorOf = detectorOf;
  }

  /** Predictions in the order asked for. */
  async predictions(kind: ReferenceKind, repairs: readonly Repair[]): Promise<number[]> {
    const key = ({ sample, columns }: Repair): string => `${kind}/${sample}/${columns.join()}`;
    const missing = new Map(
      repairs
        .filter((repair) => repair.columns.length > 0 && !this.#known.has(key(repair)))
        .map((repair) => [key(repair), repair]),
    );
    if (missing.size > 0) {
      const asks = [...missing.values()].map((repair) => ({ ...repair, mode: "enforce" as const }));
      const answers = await this.#runs.answers(asks, { detector: await this.#detectorOf(kind) });
      [...missing.keys()].forEach((name, i) =>
        this.#known.set(name, predicted(answers[i]?.logits as Float32Array)),
      );
    }
    return repairs.map((repair) =>
      repair.columns.length === 0
        ? (this.#answers[repair.sample] as number)
        : (this.#known.get(key(repair)) as number),
    );
  }
}
