/**
 * A detector without a failing sample: how unlike ordinary columns a column's attention is, as the sum of its absolute
 * standardised features, with the gate at the conformal place of clean samples. It knows nothing of any trigger, so it
 * misses those whose attention looks ordinary; on text it repairs about a third of what a fitted detector does.
 */
import { attentionFeatureCount } from "../shared/detector-tensors.ts";
import { standardisation, type SiteColumns } from "./columns.ts";
import type { FittedSite } from "./fit.ts";
import { channels1, channels2, zeroNetwork } from "./network.ts";

/** Features before the one-hot place of a column: those that vary by what the column holds. */
const measured = 8;
/** Place of the last visible key among the features: in a text the separator, whose attention is like no other's. */
const lastVisible = 9;
/** Takes a column out, whatever its features are. */
const outOfQuestion = -1000;

/**
 * The score Σ |z_f| over the attention features, written as a network of the detector's form: each feature twice, with
 * either sign, through the first ReLU, and the sum of all behind it.
 * @param clean samples whose columns say what is ordinary
 * @param skipLast whether the last visible column is never judged
 */
export function conformalSite(columns: SiteColumns, clean: readonly number[], skipLast: boolean): FittedSite {
  const own = standardisation(columns, clean);
  const network = zeroNetwork(attentionFeatureCount);
  for (let f = 0; f < measured; f++) {
    network.weight1[f * channels1 + 2 * f] = 1;
    network.weight1[f * channels1 + 2 * f + 1] = -1;
  }
  for (let c = 0; c < 2 * measured; c++) network.weight2[c * channels2] = 1;
  if (skipLast) {
    network.weight1[lastVisible * channels1 + 2 * measured] = 1;
    network.weight2[2 * measured * channels2] = outOfQuestion;
  }
  network.weight3[0] = 1;
  return { site: columns.site, features: "attention", kernel: 1, standardisation: own, network };
}
