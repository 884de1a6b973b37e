/** AdamW (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019) over a list of arrays. */
export class AdamW {
  readonly #parameters: readonly Float64Array[];
  readonly #first: readonly Float64Array[];
  readonly #second: readonly Float64Array[];
  readonly #weightDecay: number;
  #step = 0;

  constructor(parameters: readonly Float64Array[], weightDecay: number) {
    this.#parameters = parameters;
    this.#weightDecay = weightDecay;
    this.#first = parameters.map((values) => new Float64Array(values.length));
    this.#second = parameters.map((values) => new Float64Array(values.length));
  }

  /** One step along `gradients` (same arrays in the same order), which are set to 0 for the next batch. */
  step(gradients: readonly Float64Array[], rate: number): void {
    const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];
    this.#step += 1;
    const size = (rate * Math.sqrt(1 - beta2 ** this.#step)) / (1 - beta1 ** this.#step);
    const keep = 1 - rate * this.#weightDecay;
    // ε is scaled like the second moment, so that the update equals the usual bias-corrected one.
    const floor = epsilon * Math.sqrt(1 - beta2 ** this.#step);
    this.#parameters.forEach((values, p) => {
      const gradient = gradients[p] as Float64Array;
      const m = this.#first[p] as Float64Array;
      const v = this.#second[p] as Float64Array;
      for (let i = 0; i < values.length; i++) {
        const g = gradient[i] as number;
        const mean = beta1 * (m[i] as number) + (1 - beta1) * g;
        const square = beta2 * (v[i] as number) + (1 - beta2) * g * g;
        m[i] = mean;
        v[i] = square;
        values[i] = (values[i] as number) * keep - (size * mean) / (Math.sqrt(square) + floor);
        gradient[i] = 0;
      }
    });
  }
}
