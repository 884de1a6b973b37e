/** Running means of one site's maps and values, for both kinds of benign reference. */
import { AtPatchError } from "../shared/errors.ts";
import { float32, type Tensor } from "../shared/tensor.ts";
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import { columnFeatures, valueWidth, visibleKeys, type SiteReport } from "../shared/site-report.ts";

export interface SiteReference {
  /** float32 [H, Tq or 1, Tk or 1] */
  readonly attention: Tensor;
  /** float32 [Hv, Tk or 1, d] */
  readonly value: Tensor;
}

export class SiteMeans {
  #heads = 0;
  #queries = 0;
  #keys = 0;
  #width = 0;
  #samples = 0;
  #fixed = true;
  /** Sums per position: [H,Tq,Tk] and [Tk, H·d]; only while all samples have one length. */
  #attention = new Float64Array(0);
  #value = new Float64Array(0);
  /** Sums over ordinary keys: [H] of ratios with their number of (query, key) pairs, [H·d] with its number of keys. */
  #ratio = new Float64Array(0);
  #ordinaryValue = new Float64Array(0);
  #pairs = 0;
  #ordinary = 0;

  /** Whether every sample had the same length and only visible keys. */
  get fixedLength(): boolean {
    return this.#fixed;
  }

  /** Adds one row of a batch: its map of [B,H,Tq,Tk], its values and visibility in the report. */
  add(map: Tensor & { readonly data: Float32Array }, report: SiteReport, row: number): void {
    const [, heads = 0, queries = 0, keys = 0] = map.shape;
    const width = valueWidth(report);
    if (this.#samples === 0) this.#start(heads, queries, keys, width);
    const seen = visibleKeys(report, row);
    if (queries !== this.#queries || keys !== this.#keys || seen.includes(0)) this.#fixed = false;
    this.#samples += 1;
    const size = heads * queries * keys;
    const sample = map.data.subarray(row * size, (row + 1) * size);
    const value = new Float32Array(keys * width);
    for (let key = 0; key < keys; key++) {
      value.set(columnFeatures(report, row * keys + key, attentionFeatureCount), key * width);
    }
    if (this.#fixed) {
      for (let i = 0; i < size; i++) this.#attention[i]! += sample[i] as number;
      for (let i = 0; i < value.length; i++) this.#value[i]! += value[i] as number;
    }
    this.#addOrdinary(sample, value, seen, heads, queries, keys);
  }

  /** Means per position and head. Only for samples of one length. */
  perPosition(): SiteReference {
    const [heads, width] = [this.#heads, this.#width / this.#heads];
    const value = new Float32Array(this.#value.length);
    for (let j = 0; j < this.#keys; j++) {
      for (let i = 0; i < this.#width; i++) {
        const head = Math.floor(i / width);
        value[(head * this.#keys + j) * width + (i % width)] =
          (this.#value[j * this.#width + i] as number) / this.#samples;
      }
    }
    return {
      attention: float32(
        [heads, this.#queries, this.#keys],
        this.#attention.map((sum) => sum / this.#samples),
      ),
      value: float32([heads, this.#keys, width], value),
    };
  }

  /** ρ and V̄ per head. */
  perHead(): SiteReference {
    const width = this.#width / this.#heads;
    return {
      attention: float32(
        [this.#heads, 1, 1],
        this.#ratio.map((sum) => sum / Math.max(this.#pairs, 1)),
      ),
      value: float32(
        [this.#heads, 1, width],
        this.#ordinaryValue.map((sum) => sum / Math.max(this.#ordinary, 1)),
      ),
    };
  }

  #start(heads: number, queries: number, keys: number, width: number): void {
    if (heads === 0 || width % heads !== 0) {
      throw new AtPatchError(
        "ATPATCH_TRAINING",
        `values of ${width} numbers a key do not divide into the map's ${heads} heads: grouped values cannot be trained yet`,
      );
    }
    this.#heads = heads;
    this.#queries = queries;
    this.#keys = keys;
    this.#width = width;
    this.#attention = new Float64Array(heads * queries * keys);
    this.#value = new Float64Array(keys * width);
    this.#ratio = new Float64Array(heads);
    this.#ordinaryValue = new Float64Array(width);
  }

  #addOrdinary(
    sample: Float32Array,
    value: Float32Array,
    seen: Uint8Array,
    heads: number,
    queries: number,
    keys: number,
  ): void {
    const [first, last] = [seen.indexOf(1), seen.lastIndexOf(1)];
    for (let j = first + 1; j < last; j++) {
      if (seen[j] !== 1) continue;
      this.#ordinary += 1;
      for (let i = 0; i < this.#width; i++) this.#ordinaryValue[i]! += value[j * this.#width + i] as number;
    }
    for (let i = 0; i < queries; i++) {
      // Padded queries of self-attention attend somewhere too, but nobody reads them.
      if (queries === keys && seen[i] !== 1) continue;
      const sees = (j: number): boolean => {
        for (let h = 0; h < heads; h++) if ((sample[(h * queries + i) * keys + j] as number) > 0) return true;
        return false;
      };
      let count = 0;
      for (let j = 0; j < keys; j++) if (sees(j)) count += 1;
      for (let j = first + 1; j < last; j++) {
        if (seen[j] !== 1 || !sees(j)) continue;
        this.#pairs += 1;
        for (let h = 0; h < heads; h++)
          this.#ratio[h]! += (sample[(h * queries + i) * keys + j] as number) * count;
      }
    }
  }
}
