/**
 * The detectors that runs may name. A run holds its detector from acceptance to its end, so that retiring it takes the
 * name away at once and the memory only after the last run that was accepted with it.
 */
import { detectorTensorNames, type DetectorTensors } from "../shared/detector-tensors.ts";
import { AtPatchError } from "../shared/errors.ts";
import { toOrtType } from "./ort-datatypes.ts";
import { packFrame, type Frame } from "./frame.ts";
import type { DetectorKey } from "./protocol.ts";

/** What tells the workers. */
export interface DetectorCarrier {
  /** Every run that is handed to a worker afterwards finds the detector. */
  publish(detector: DetectorKey, tensors: Frame): void;
  /** Resolves when no worker has it any more. */
  retire(detector: DetectorKey): Promise<void>;
}

interface Entry {
  readonly tensors: Frame;
  /** Runs that hold it. */
  holders: number;
  /** Set between `retire` and the end of the last run that holds it. */
  retirement: PromiseWithResolve | undefined;
}

interface PromiseWithResolve {
  readonly promise: Promise<void>;
  readonly resolve: (value: void | Promise<void>) => void;
}

export class PublishedDetectors {
  readonly #carrier: DetectorCarrier;
  readonly #entries = new Map<DetectorKey, Entry>();
  /**
   * Memory of a freed detector, for the next one: the garbage collector does not see the size of shared memory, and a
   * series of swaps would pile it up.
   */
  #spare: Frame["buffer"] | undefined;

  constructor(carrier: DetectorCarrier) {
    this.#carrier = carrier;
  }

  /** Every detector that a worker started now needs, retired ones that are still held included. */
  *[Symbol.iterator](): Iterator<readonly [DetectorKey, Frame]> {
    for (const [detector, { tensors }] of this.#entries) yield [detector, tensors];
  }

  /**
   * Sends a detector to every worker. An id stands for its content: tensors of an id that is there already are ignored.
   * @throws AtPatchError ATPATCH_UNPROCESSABLE when the runtime does not take a tensor's datatype
   */
  publish(detector: DetectorKey, tensors: DetectorTensors): void {
    const entry = this.#entries.get(detector);
    if (entry !== undefined) {
      entry.retirement?.resolve();
      entry.retirement = undefined;
      return;
    }
    for (const name of detectorTensorNames) toOrtType(tensors[name].datatype, name);
    const frame = packFrame({ ...tensors }, (bytes) => this.#allocate(bytes));
    this.#carrier.publish(detector, frame);
    this.#entries.set(detector, { tensors: frame, holders: 0, retirement: undefined });
  }

  /**
   * Takes the name away at once; resolves when the tensors are freed everywhere, or when the detector was published
   * again in the meantime. Unknown ids are no error.
   */
  async retire(detector: DetectorKey): Promise<void> {
    const entry = this.#entries.get(detector);
    if (entry === undefined) return;
    if (entry.holders === 0) return this.#free(detector);
    if (entry.retirement === undefined) {
      entry.retirement = promiseWithResolve();
    }
    await entry.retirement.promise;
  }

  /**
   * Holds a detector for one run.
   * @returns the function that lets go of it
   * @throws AtPatchError ATPATCH_UNKNOWN_DETECTOR when it is not published, or retired
   */
  hold(detector: DetectorKey): () => void {
    const entry = this.#entries.get(detector);
    if (entry === undefined || entry.retirement !== undefined) {
      throw new AtPatchError("ATPATCH_UNKNOWN_DETECTOR", `detector ${detector} is not published`);
    }
    entry.holders++;
    return () => {
      entry.holders--;
      if (entry.holders === 0) entry.retirement?.resolve(this.#free(detector));
    };
  }

  async #free(detector: DetectorKey): Promise<void> {
    const entry = this.#entries.get(detector);
    this.#entries.delete(detector);
    await this.#carrier.retire(detector);
    // Every worker has let go, and none that starts is given it any more.
    this.#spare = entry?.tensors.buffer;
  }

  #allocate(bytes: number): Frame["buffer"] {
    const spare = this.#spare;
    if (spare === undefined || spare.byteLength < bytes) return new SharedArrayBuffer(bytes);
    this.#spare = undefined;
    return spare;
  }
}

function promiseWithResolve(): PromiseWithResolve {
  let resolve!: PromiseWithResolve["resolve"];
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
