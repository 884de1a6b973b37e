/** Runs that also return attention maps, on an engine of their own: the serving graph keeps none. */
import { PublishedDetectors } from "../detector/published.ts";
import type { Bundle } from "../detector/bundle.ts";
import type { InferenceEngine, RunOptions, RunRequest, RunResult } from "../engine/engine.ts";
import { AtPatchError } from "../shared/errors.ts";
import { hotfixNames, type PatchDescription, type TapKind } from "../shared/patched-model.ts";

/** Taps that the build for explanations needs. */
export const explainTaps = ["map", "patched"] as const satisfies readonly TapKind[];

/** Samples explained at once: a map has a float per head, query and key, at every site, twice. */
export const mostExplained = 4;

export interface ExplainerOptions {
  /** Starts the engine with {@link explainTaps}; called when the first explanation is asked for. */
  readonly open: () => Promise<InferenceEngine>;
  /** The bundle of a detector. */
  readonly bundle: (id: string) => Promise<Bundle>;
  readonly warn: (message: string) => void;
}

interface Opened {
  readonly engine: InferenceEngine;
  readonly published: PublishedDetectors;
}

export class Explainer {
  readonly #options: ExplainerOptions;
  #opened: Promise<Opened> | null = null;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /**
   * Runs like the serving engine; the result also holds the taps and the report of every site.
   * @throws AtPatchError ATPATCH_UNPROCESSABLE for more than {@link mostExplained} samples, and what the engine throws
   */
  async run(request: RunRequest, options: RunOptions): Promise<RunResult> {
    if (request.batch > mostExplained) {
      const what = `explain: at most ${mostExplained} samples can be explained at once, got ${request.batch}`;
      throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
    }
    const { engine, published } = await this.#open();
    const { detector } = request;
    const hold =
      detector === null ? null : await published.hold(detector, () => this.#options.bundle(detector));
    try {
      const outputs = request.outputs ?? engine.description.outputs.map(({ name }) => name);
      return await engine.run(
        {
          ...request,
          outputs: [...outputs, ...tapNames(engine.description)],
          report: engine.description.sites.map(({ index }) => index),
          attention: request.attention ?? false,
        },
        options,
      );
    } finally {
      hold?.release();
    }
  }

  /** Stops the engine if there is one. */
  async close(): Promise<void> {
    await (await this.#opened?.catch(() => null))?.engine.close();
  }

  #open(): Promise<Opened> {
    const { open, warn } = this.#options;
    this.#opened ??= open()
      .then((engine) => ({ engine, published: new PublishedDetectors(engine, warn) }))
      .catch((error: unknown) => {
        // The next caller tries again.
        this.#opened = null;
        throw error;
      });
    return this.#opened;
  }
}

function tapNames({ sites }: PatchDescription): string[] {
  return sites.flatMap(({ index }) => explainTaps.map((kind) => hotfixNames.tap(kind, index)));
}
