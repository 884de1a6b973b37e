/** Inserts the hot-fix at one site: canonical layout, the operator, and the readers rewired to its results. */
import type { AttentionSite } from "../attention/site.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import { askedKinds, hotfixNames, type AskedKind, type TapKind } from "../shared/patched-model.ts";
import { DataType } from "../onnx/model.ts";
import type { AxisState } from "./axis-state.ts";
import { list, type Carried } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";
import type { PatchContext } from "./patch-graph.ts";
import { toCanonical, type Canonical } from "./layout.ts";
import { emitNever } from "./nothing.ts";
import { hotfixDomain, patchOperator, queryPositions, siteAttribute } from "./op.ts";
import type { PatchForm } from "./site-branches.ts";

/** The site's tensors in canonical layout. */
export interface CanonicalSite {
  readonly map: Canonical;
  readonly values: readonly Canonical[];
}

/** What a site is asked for, bool [1] each, as tensor names. */
export type Asked = Readonly<Record<AskedKind, string>>;

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
  context: PatchContext,
): AxisState {
  const { taps } = context;
  // A map that meets several value tensors is patched once, over their concatenation.
  const [given, value] = [canonical.map.name, joinValues(e, canonical.values)].map((name) =>
    context.quantised ? shielded(e, name) : name,
  ) as [string, string];
  const carried: Carried = {
    flags: e.fresh(`site${site.index}/flags`),
    scores: e.fresh(`site${site.index}/scores`),
    repair: e.fresh(`site${site.index}/repair`),
  };
  const patch = (
    form: PatchForm,
    before: Carried,
    { asked, slot }: { readonly asked: Asked; readonly slot: string },
    outputs: readonly string[],
  ): void =>
    e.ops(
      patchOperator(form),
      [
        given,
        value,
        state.mode,
        ...list(before),
        ...askedKinds.map((kind) => asked[kind]),
        ...detectorTensorNames.map((name) => (name === "slot" ? slot : hotfixNames.detector(name))),
      ],
      outputs,
      siteAttribute(e.opset, site.index),
      hotfixDomain,
    );
  const tap = (kind: TapKind): string => hotfixNames.tap(kind, site.index);
  const own = { asked: context.asked[site.index]!, slot: context.slot };
  const reported = [hotfixNames.reported(site.index), hotfixNames.values(site.index)];
  const form = patchForm(site, context.pointwise);
  const [map, patchedValue] = [e.fresh(`site${site.index}/map`), e.fresh(`site${site.index}/value`)];

  if (form.returns === "product") {
    const product = e.fresh(`site${site.index}/product`);
    patch(form, state.carried, own, [product, ...list(carried), ...reported]);
    replaceProduct(e, site, product);
    if (taps.includes("patched")) {
      // The same repair once more, for its map: nothing is left to examine.
      const settled = list(carried).map((name) => e.fresh(name));
      const outputs = [map, patchedValue, ...settled, e.fresh("features"), e.fresh("values")];
      const never = emitNever(e, context.mode);
      const asked = { examine: never, attention: never, pointwise: never };
      const nothing = { asked, slot: e.int(context.sites.map(() => -1)) };
      patch({ ...form, returns: "map" }, carried, nothing, outputs);
    }
  } else {
    const outputs = [map, patchedValue, ...list(carried), ...reported];
    patch(form, state.carried, own, outputs);
    rewire(e, site, canonical, map, patchedValue);
  }
  if (taps.includes("map")) e.op("Identity", [canonical.map.name], {}, tap("map"));
  if (taps.includes("patched")) e.op("Identity", [map], {}, tap("patched"));
  return { ...state, carried };
}

/**
 * The form of the operator for a site: with the product inside, where a plain MatMul alone reads map and values.
 * @param pointwise whether detectors may come in that form
 */
export function patchForm(site: AttentionSite, pointwise: boolean): PatchForm {
  const [reader, ...otherReaders] = site.mapReaders;
  const [product, ...otherProducts] = site.products;
  const alone = otherReaders.length === 0 && otherProducts.length === 0;
  const plain =
    alone &&
    product?.node.opType === "MatMul" &&
    product.node.domain === "" &&
    reader?.node === product.node &&
    reader.input === 0 &&
    product.valueReader.node === product.node;
  const canonical =
    site.elementType === DataType.FLOAT &&
    site.mapPermutation === null &&
    product?.valuePermutation === null &&
    product.leading === site.leading &&
    (site.leading === "B,H" || site.leading === "B*nW,H" || site.leading === "B*H");
  return { queries: queryPositions(site), returns: plain && canonical ? "product" : "map", pointwise };
}

/** Puts the operator's product float32 [B',H,Tq,d] in the place of the site's own. */
function replaceProduct(e: Emitter, { graph, products, leading }: AttentionSite, product: string): void {
  const node = products[0]?.node;
  const output = node?.output[0] ?? "";
  graph.node = graph.node.filter((each) => each !== node);
  if (leading === "B*H") {
    e.op("Reshape", [product, e.concat([e.int([-1]), e.dims(product, 2, 4)], 0)], {}, output);
  } else {
    e.op("Identity", [product], {}, output);
  }
}

/** Lets the site's readers read the patched map and values. */
function rewire(e: Emitter, site: AttentionSite, canonical: CanonicalSite, map: string, value: string): void {
  const restoredMap = canonical.map.restore(e, map);
  for (const reader of site.mapReaders) reader.node.input[reader.input] = restoredMap;
  const parts = splitValues(e, canonical.values, value);
  site.products.forEach((product, i) => {
    const part = parts[i];
    if (part !== undefined) product.valueReader.node.input[product.valueReader.input] = part;
  });
}

/**
 * A copy that the runtime's optimiser leaves alone. Its step that carries a DequantizeLinear on past a Reshape or
 * Transpose (onnxruntime 1.30, QDQPropagationTransformer) takes the branch of an If for a plain reader and ends the process.
 */
function shielded(e: Emitter, name: string): string {
  return e.concat([name], 0);
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
