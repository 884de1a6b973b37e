/** What the model answers when given columns are repaired; every (reference, sample, columns) is run once. */
import type { ReferenceKind } from "./detector-tensors.ts";
import { predicted, type ModelRuns } from "./model-runs.ts";

export interface Repair {
  readonly sample: number;
  /** Columns to repair; with none the unpatched answer stays. */
  readonly columns: readonly number[];
}

/** What is answered after a repair. */
export interface Outcome {
  readonly answer: number;
  /** Probability (softmax) that is left to the unpatched answer. */
  readonly residue: number;
}

export class Repairs {
  readonly #runs: ModelRuns;
  readonly #answers: readonly number[];
  readonly #detectorOf: (kind: ReferenceKind) => Promise<string>;
  readonly #known = new Map<string, Outcome>();

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
    return (await this.outcomes(kind, repairs)).map(({ answer }) => answer);
  }

  /** Outcomes in the order asked for. A sample without a column to repair counts as wholly unrepaired. */
  async outcomes(kind: ReferenceKind, repairs: readonly Repair[]): Promise<Outcome[]> {
    const key = ({ sample, columns }: Repair): string => `${kind}/${sample}/${columns.join()}`;
    const missing = new Map(
      repairs
        .filter((repair) => repair.columns.length > 0 && !this.#known.has(key(repair)))
        .map((repair) => [key(repair), repair]),
    );
    if (missing.size > 0) {
      const asks = [...missing.values()].map((repair) => ({ ...repair, mode: "enforce" as const }));
      const answers = await this.#runs.answers(asks, { detector: await this.#detectorOf(kind) });
      [...missing].forEach(([name, { sample }], i) => {
        const logits = answers[i]?.logits as Float32Array;
        const residue = probability(logits, this.#answers[sample] as number);
        this.#known.set(name, { answer: predicted(logits), residue });
      });
    }
    return repairs.map((repair) =>
      repair.columns.length === 0
        ? { answer: this.#answers[repair.sample] as number, residue: 1 }
        : (this.#known.get(key(repair)) as Outcome),
    );
  }
}

/** Softmax probability of a class. */
function probability(logits: Float32Array, label: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return Math.exp((logits[label] as number) - largest) / sum;
}
