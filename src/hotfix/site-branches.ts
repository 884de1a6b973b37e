/**
 * What the operator does at a site, as nested Ifs: the first question decides whether there is anything to do, and only the
 * branches that a run needs are executed. The product stands inside, so that no branch hands a map on.
 */
import {
  emitFlags,
  emitScores,
  identity,
  list,
  type Carried,
  type DetectorNames,
  type Scores,
} from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import { emitFeatures, type QueryPositions } from "./features.ts";
import { emitNothing, emitSomething } from "./nothing.ts";
import { emitPointwise } from "./pointwise.ts";
import { emitRedistribution } from "./redistribute.ts";
import { emitRepairedProduct } from "./repair-product.ts";

/**
 * A form of the operator. `queries`: oblong, queries and keys need not be equally many. `returns`: the product of map and
 * values, or the patched map and values for whatever reads them. `pointwise`: detectors may come in that form.
 */
export interface PatchForm {
  readonly queries: QueryPositions;
  readonly returns: "product" | "map";
  readonly pointwise: boolean;
}

/** A site while the operator is written, its tensors under the names of the operator's inputs. */
export interface Site {
  readonly form: PatchForm;
  /** int64 scalar: index of the site. */
  readonly index: string;
  readonly detector: DetectorNames;
  readonly before: Carried;
}

/** Names of what a site returns: outcome, carried state, features, values. */
type Returned = string[];

/** Everything the operator does. @param outputs names for the outcome, the carried state, features and values */
export function emitSite(e: Emitter, site: Site, outputs: readonly string[]): void {
  choose(
    e,
    e.op("Or", ["examine", site.before.repair]),
    (working) => emitWorking(working, site),
    (idle) => emitIdle(idle, site),
    outputs,
  );
}

/** A site that is not examined, in a batch without a column to repair: what the model computes by itself. */
function emitIdle(e: Emitter, { form, before }: Site): Returned {
  return [
    ...emitUntouched(e, form),
    ...list(identity(e, before)),
    emitNothing(e, 3, "mode"),
    emitNothing(e, 2, "mode"),
  ];
}

/** A site that is examined, or has columns to repair. */
function emitWorking(e: Emitter, site: Site): Returned {
  if (!site.form.pointwise) return emitStacked(e, site);
  return choose(
    e,
    "pointwise",
    (then) => emitPointwiseDetection(then, site),
    (otherwise) => emitStacked(otherwise, site),
  );
}

/** With stacked tensors, of which a row may be the site's. */
function emitStacked(e: Emitter, site: Site): Returned {
  const slot = e.gather(site.detector.slot, site.index);
  return choose(
    e,
    e.greater(slot, e.int(-1)),
    (detecting) => emitDetection(detecting, site, slot),
    (passing) => emitPassing(passing, site),
  );
}

/** With a pointwise detector. */
function emitPointwiseDetection(e: Emitter, site: Site): Returned {
  const { largest, values, mayReach, flagged } = emitPointwise(e, "map", "value", site.detector);
  return [
    ...emitJudged(e, site, mayReach, flagged),
    emitSomething(e, largest, "mode"),
    emitSomething(e, values, "mode"),
  ];
}

/** With another detector. @param slot int64 scalar: its row of the stacked tensors */
function emitDetection(e: Emitter, site: Site, slot: string): Returned {
  const features = emitFeatures(e, "map", "value", site.form.queries, "attention");
  const { visible } = features;
  const scores = emitScores(e, { features, slot }, site.detector);
  return [
    ...emitJudged(e, site, e.any(scores.reaching), () => ({ visible, scores })),
    emitSomething(e, features.all, "mode"),
    emitNothing(e, 2, "mode"),
  ];
}

/** Without one: features if somebody wants them, and the repair of columns that were flagged before. */
function emitPassing(e: Emitter, site: Site): Returned {
  const features = choose(
    e,
    "examine",
    (reporting) => {
      const { all } = emitFeatures(reporting, "map", "value", site.form.queries, "attention");
      return [emitSomething(reporting, all, "mode")];
    },
    (silent) => [emitNothing(silent, 3, "mode")],
  );
  return [
    ...emitOutcome(e, site, site.before),
    ...list(identity(e, site.before)),
    ...features,
    emitNothing(e, 2, "mode"),
  ];
}

/**
 * One gate for what follows from the scores: outcome and carried state.
 * @param mayReach bool scalar: false where surely no column reaches the gate
 * @param found emits the visible keys, float32 [B,1,Tk], and the scores
 */
function emitJudged(
  e: Emitter,
  site: Site,
  mayReach: string,
  found: (e: Emitter) => { readonly visible: string; readonly scores: Scores },
): string[] {
  return choose(
    e,
    e.op("Or", [mayReach, site.before.repair]),
    (acting) => {
      const { visible, scores } = found(acting);
      const inputs = { visible, mode: "mode", site: site.index };
      const flagged = emitFlags(acting, inputs, site.detector, site.before, scores);
      return [...emitOutcome(acting, site, flagged), ...list(flagged)];
    },
    (quiet) => [...emitUntouched(quiet, site.form), ...list(identity(quiet, site.before))],
  );
}

/** What the form returns, repaired when some sample is to be repaired. */
function emitOutcome(e: Emitter, { form, index, detector }: Site, { flags, repair }: Carried): string[] {
  const inputs = { map: "map", value: "value", mode: "mode", site: index, flags };
  return choose(
    e,
    repair,
    (repairing) =>
      form.returns === "product"
        ? [emitRepairedProduct(repairing, inputs, detector)]
        : Object.values(emitRedistribution(repairing, inputs, detector)),
    (passing) => emitUntouched(passing, form),
  );
}

/** What the form returns where nothing is to be repaired. */
function emitUntouched(e: Emitter, { returns }: PatchForm): string[] {
  if (returns === "product") return [e.op("MatMul", ["map", "value"])];
  return [e.op("Identity", ["map"]), e.op("Identity", ["value"])];
}

/** An If. @param names of its outputs; new ones when absent @returns them */
function choose(
  e: Emitter,
  condition: string,
  then: (branch: Emitter) => string[],
  otherwise: (branch: Emitter) => string[],
  names?: readonly string[],
): string[] {
  const branch = (write: (branch: Emitter) => string[]): { emitter: Emitter; outputs: string[] } => {
    const emitter = e.branch();
    return { emitter, outputs: write(emitter) };
  };
  const [first, second] = [branch(then), branch(otherwise)];
  const chosen = first.outputs.map((_, at) => names?.[at] ?? e.fresh("chosen"));
  e.conditional(condition, first, second, chosen);
  return chosen;
}
