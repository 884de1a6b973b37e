/** A published detector as runs feed it. Loads the runtime: for worker threads only. */
import type { Tensor as OrtTensor } from "onnxruntime-node";
import {
  detectorTensorNames,
  forcedColumns,
  usesAttention,
  type DetectorTensors,
} from "../shared/detector-tensors.ts";
import { graphTensor, isPointwise, pointwiseTensors } from "../shared/graph-tensors.ts";
import { askedKinds, hotfixNames, type AskedKind } from "../shared/patched-model.ts";
import { tensor, type Tensor } from "../shared/tensor.ts";
import { toOrtTensor } from "./ort-tensors.ts";

export type Feeds = Readonly<Record<string, OrtTensor>>;

/** What a run wants of the sites. */
export interface SiteDemand {
  /** Whether a sample is in another mode than off. */
  readonly observed: boolean;
  /** Sites that report their features, and whether φ is among them. */
  readonly report: readonly number[];
  readonly attention: boolean;
}

/** The feeds of one run that are the detector's. */
export interface DemandFeeds {
  readonly feeds: Feeds;
  /** Sites that detect in the pointwise form, and report so. */
  readonly pointwise: readonly number[];
}

export class DetectorFeeds {
  /** BOOL [Tk]: columns of the first key axis that are forced in every sample, and their positions. */
  readonly forced: Tensor | undefined;
  readonly forcedColumns: readonly number[];
  readonly #stacked: Feeds;
  /** Null for a detector that has no such form. */
  readonly #pointwise: Feeds | null;
  readonly #sites: number;
  /** Sites it detects at, and those of them where it looks at φ. */
  readonly #detecting: readonly number[];
  readonly #attending: readonly number[];
  /** Slots of a run that detects at no site. */
  readonly #nowhere: Feeds;

  constructor({ forced, ...fed }: DetectorTensors) {
    const slot = Array.from(fed.slot.data, Number);
    const uses = usesAttention(fed.feature_scale);
    this.forced = forced;
    this.forcedColumns = forcedColumns({ ...(forced && { forced }) });
    this.#stacked = feedsOf(
      Object.fromEntries(detectorTensorNames.map((name) => [name, graphTensor(name, fed[name])])),
    );
    this.#pointwise = isPointwise(fed) ? { ...this.#stacked, ...feedsOf(pointwiseTensors(fed)) } : null;
    this.#sites = slot.length;
    this.#detecting = slot.flatMap((row, site) => (row < 0 ? [] : [site]));
    this.#attending = this.#detecting.filter((site) => uses[slot[site]!]);
    const nowhere = new BigInt64Array(slot.length).fill(-1n);
    this.#nowhere = feedsOf({ slot: tensor("INT64", [slot.length], nowhere) });
  }

  for({ observed, report, attention }: SiteDemand): DemandFeeds {
    const detecting = observed ? this.#detecting : [];
    const attended = attention ? report : [];
    // A site that reports φ computes it for the network too.
    const form = detecting.some((site) => attended.includes(site)) ? null : this.#pointwise;
    const pointwise = form === null ? [] : detecting;
    const asked = askedTensor(this.#sites, {
      examine: [...detecting, ...report],
      attention: [...(observed ? this.#attending : []), ...attended],
      pointwise,
    });
    const feeds = {
      ...(form ?? this.#stacked),
      ...(!observed && this.#nowhere),
      [hotfixNames.asked]: toOrtTensor(hotfixNames.asked, asked),
    };
    return { feeds, pointwise };
  }
}

function feedsOf(tensors: Readonly<Record<string, Tensor>>): Feeds {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, each]) => [hotfixNames.detector(name), toOrtTensor(name, each)]),
  );
}

/** BOOL [3·S], true for the sites in the list of their kind. */
function askedTensor(sites: number, asked: Readonly<Record<AskedKind, readonly number[]>>): Tensor {
  const data = new Uint8Array(askedKinds.length * sites);
  askedKinds.forEach((kind, at) => {
    for (const site of asked[kind]) data[at * sites + site] = 1;
  });
  return { datatype: "BOOL", shape: [data.length], data };
}
