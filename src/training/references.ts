/** Detectors that only carry a benign reference, published when they are first needed. */
import type { InferenceEngine } from "../engine/engine.ts";
import { detectorTensors, type DetectorParts, type ReferenceKind } from "./detector-tensors.ts";
import type { Gathered } from "./gather.ts";

export class PublishedReferences {
  readonly #engine: InferenceEngine;
  readonly #gathered: Pick<Gathered, "reference" | "data">;
  readonly #ids = new Map<ReferenceKind, string>();

  constructor(engine: InferenceEngine, gathered: Pick<Gathered, "reference" | "data">) {
    this.#engine = engine;
    this.#gathered = gathered;
  }

  /** A detector with this reference. */
  parts(kind: ReferenceKind, detection: DetectorParts["detection"]): DetectorParts {
    const { reference, data } = this.#gathered;
    return {
      sites: this.#engine.description.sites.length,
      detection,
      reference,
      kind,
      firstKey: data.layout.firstKey,
    };
  }

  /** Id of the published detector that flags nothing by itself and repairs with this reference. */
  async id(kind: ReferenceKind): Promise<string> {
    const known = this.#ids.get(kind);
    if (known !== undefined) return known;
    const id = `reference-${kind}`;
    await this.#engine.publish(id, detectorTensors(this.parts(kind, [])));
    this.#ids.set(kind, id);
    return id;
  }

  async retireAll(): Promise<void> {
    for (const id of this.#ids.values()) await this.#engine.retire(id);
    this.#ids.clear();
  }
}
