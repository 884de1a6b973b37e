/** Inserts the hot-fix at one site: canonical layout, the operator, and the readers rewired to its results. */
import type { AttentionSite } from "../attention/site.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import { hotfixNames, type TapKind } from "../shared/patched-model.ts";
import type { AxisState } from "./axis-state.ts";
import { list, type Carried } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import type { PatchContext } from "./patch-graph.ts";
import { toCanonical, type Canonical } from "./layout.ts";
import { hotfixDomain, patchOperator, queryPositions, siteAttribute } from "./op.ts";

/** The site's tensors in canonical layout. */
export interface CanonicalSite {
  readonly map: Canonical;
  readonly values: readonly Canonical[];
}

export function emitCanonical(e: Emitter, site: AttentionSite, mode: string): CanonicalSite {
  return {
    map: toCanonical(e, site.map, site.mapPermutation, site, mode),
    values: site.products.map((product) =>
      toCanonical(
        e,
        product.value,
        product.valuePermutation,
        { leading: product.leading, elementType: site.elementType },
        mode,
      ),
    ),
  };
}

/**
 * Emits the operator and rewires the site's readers.
 * @returns the carried state after the site
 */
export function insertPatch(
  e: Emitter,
  site: AttentionSite,
  canonical: CanonicalSite,
  state: AxisState,
  { slot, examine, taps }: PatchContext,
): AxisState {
  // A map that meets several value tensors is patched once, over their concatenation.
  const value = joinValues(e, canonical.values);
  const [map, patchedValue] = [e.fresh(`site${site.index}/map`), e.fresh(`site${site.index}/value`)];
  const carried: Carried = {
    flags: e.fresh(`site${site.index}/flags`),
    scores: e.fresh(`site${site.index}/scores`),
    repair: e.fresh(`site${site.index}/repair`),
  };
  const detector = detectorTensorNames.map((name) => (name === "slot" ? slot : hotfixNames.detector(name)));
  e.ops(
    patchOperator[queryPositions(site)],
    [canonical.map.name, value, state.mode, ...list(state.carried), examine, ...detector],
    [map, patchedValue, ...list(carried), hotfixNames.reported(site.index)],
    siteAttribute(e.opset, site.index),
    hotfixDomain,
  );
  const tap = (kind: TapKind): string => hotfixNames.tap(kind, site.index);
  if (taps.includes("map")) e.op("Identity", [canonical.map.name], {}, tap("map"));
  if (taps.includes("patched")) e.op("Identity", [map], {}, tap("patched"));

  const restoredMap = canonical.map.restore(e, map);
  for (const reader of site.mapReaders) reader.node.input[reader.input] = restoredMap;
  const parts = splitValues(e, canonical.values, patchedValue);
  site.products.forEach((product, i) => {
    const part = parts[i];
    if (part !== undefined) product.valueReader.node.input[product.valueReader.input] = part;
  });
  return { ...state, carried };
}

function joinValues(e: Emitter, values: readonly Canonical[]): string {
  const names = values.map((value) => value.name);
  return names.length === 1 ? (names[0] ?? "") : e.concat(names, 3);
}

/** Cuts a patched concatenation into the value tensors again, in the graph's own layout. */
function splitValues(e: Emitter, values: readonly Canonical[], patched: string): string[] {
  if (values.length === 1) return values.map((value) => value.restore(e, patched));
  let start = e.int([0]);
  return values.map((value) => {
    const end = e.op("Add", [start, e.dim(value.name, 3)]);
    const part = e.slice(patched, start, end, 3);
    start = end;
    return value.restore(e, part);
  });
}
