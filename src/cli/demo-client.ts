/** The calls of the demo, over HTTP like everybody else's. */

export interface DemoAnswer {
  readonly label: string;
  readonly score: number;
  readonly triggered: boolean;
  /** Row and column of each flagged patch. */
  readonly patches: readonly (readonly [row: number, column: number])[];
  readonly detector: string | null;
}

interface PredictBody {
  readonly predictions: readonly {
    readonly label: string;
    readonly score: number;
    readonly atpatch: {
      readonly triggered: boolean;
      readonly columns: readonly { readonly at: { readonly patch?: readonly [number, number] } | null }[];
    };
  }[];
  readonly atpatch: { readonly detector: string | null };
}

export class DemoClient {
  readonly #url: string;
  readonly #model: string;
  readonly #token: string;

  constructor(url: string, model: string, token: string) {
    this.#url = url;
    this.#model = model;
    this.#token = token;
  }

  async predict(instances: readonly unknown[], mode: "off" | "enforce"): Promise<DemoAnswer[]> {
    const body = (await this.#call("POST", `v1/models/${this.#model}:predict`, {
      instances,
      parameters: { mode, top_k: 1 },
    })) as PredictBody;
    return body.predictions.map(({ label, score, atpatch }) => ({
      label,
      score,
      triggered: atpatch.triggered,
      patches: atpatch.columns.flatMap(({ at }) => (at?.patch ? [at.patch] : [])),
      detector: body.atpatch.detector,
    }));
  }

  /** Activates a detector, or none. */
  async activate(detector: string | null): Promise<void> {
    await this.#call("PUT", `admin/models/${this.#model}/active`, { detector, reason: "demo" });
  }

  /** Value of a counter summed over its labels. */
  async counter(name: string): Promise<number> {
    const text = await (await fetch(new URL("metrics", this.#url))).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  async #call(method: string, path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(new URL(path, this.#url), {
      method,
      headers: { "content-type": "application/json", authorization: `Bearer ${this.#token}` },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}
