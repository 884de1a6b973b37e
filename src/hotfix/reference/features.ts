/** The column features of `hotfix/features.ts` in plain TypeScript (double precision): what the ONNX form is compared with. */
import { attentionFeatureCount } from "../../shared/detector-tensors.ts";
import { epsilon, tieFactor, zScoreFloor } from "../constants.ts";

/** One sample's attention map: `data` is [H,Tq,Tk] row-major. */
export interface SampleMap {
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly data: ArrayLike<number>;
}

/** Features of one sample. */
export interface SampleFeatures {
  /** [11][Tk] */
  readonly attention: number[][];
  /** Visible keys. */
  readonly visible: boolean[];
}

/** φ of one sample; the formulas are listed in `hotfix/features.ts`. */
export function referenceFeatures(map: SampleMap, selfAttention: boolean): SampleFeatures {
  const { heads, queries, keys } = map;
  const at = (h: number, i: number, j: number): number => map.data[(h * queries + i) * keys + j] ?? 0;
  const overHeads = (f: (h: number) => number): number[] => Array.from({ length: heads }, (_, h) => f(h));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

  const headMean = range(queries).map((i) =>
    range(keys).map((j) => sum(overHeads((h) => at(h, i, j))) / heads),
  );
  const mean = (i: number, j: number): number => headMean[i]?.[j] ?? 0;
  const visible = range(keys).map((j) => range(queries).some((i) => mean(i, j) > 0));
  const counted = range(queries).filter(
    (i) =>
      range(keys).some((j) => mean(i, j) > 0) && (!selfAttention || queries !== keys || visible[i] === true),
  );
  const average = (f: (i: number) => number): number => sum(counted.map(f)) / Math.max(counted.length, 1);

  const uniform = average((i) => 1 / Math.max(range(keys).filter((j) => mean(i, j) > 0).length, 1));
  const logRatio = (mass: number): number => Math.log((mass + epsilon) / (uniform + epsilon));
  const mass = range(keys).map((j) => average((i) => mean(i, j)));
  const rowMax = range(queries).map((i) => Math.max(...range(keys).map((j) => mean(i, j))));
  const shown = range(keys).filter((j) => visible[j]);
  const massMean = sum(shown.map((j) => mass[j] ?? 0)) / Math.max(shown.length, 1);
  const massStd = Math.sqrt(
    sum(shown.map((j) => ((mass[j] ?? 0) - massMean) ** 2)) / Math.max(shown.length, 1),
  );
  const [first, last] = [shown[0], shown.at(-1)];

  const columns = range(keys).map((j) => {
    const m = mass[j] ?? 0;
    const variance = average((i) => (mean(i, j) - m) ** 2);
    const seen = visible[j] === true;
    return [
      logRatio(m),
      logRatio(Math.max(0, ...counted.map((i) => mean(i, j)))),
      logRatio(mean(0, j)),
      logRatio(Math.max(...overHeads((h) => average((i) => at(h, i, j))))),
      logRatio(Math.max(...overHeads((h) => at(h, 0, j)))),
      Math.sqrt(variance) / (m + epsilon),
      average((i) => (mean(i, j) >= (rowMax[i] ?? 0) * tieFactor ? 1 : 0)),
      seen ? (m - massMean) / (massStd + Math.max(massMean, epsilon) * zScoreFloor) : 0,
      seen && j === first ? 1 : 0,
      seen && j === last ? 1 : 0,
      seen && j !== first && j !== last ? 1 : 0,
    ];
  });
  return {
    attention: range(attentionFeatureCount).map((f) => columns.map((column) => column[f] ?? 0)),
    visible,
  };
}
