/** Numbers sites in execution order, counts their layers and tells which see the same keys. */
import type { NodeProto } from "../onnx/model.ts";
import type { Draft } from "./examine.ts";
import type { Scope } from "./scope.ts";
import type { AttentionSite } from "./site.ts";

export interface Located {
  readonly draft: Draft;
  readonly scope: Scope;
  readonly where: string;
}

/**
 * A site's layer is the number of sites of its kind that its own sequence has passed before: the encoder and the decoder
 * count for themselves, a cross attention beside its decoder.
 */
export function numberSites(located: readonly Located[]): AttentionSite[] {
  const makers = new Map<NodeProto, number>();
  const before: ReadonlySet<number>[] = [];
  const axes = new Map<string, number>();
  return located.map(({ draft, scope, where }, index) => {
    const passed = new Set<number>();
    const direct = [...draft.behind].flatMap((node) => makers.get(node) ?? []);
    // Latest first: what lies before a site that was passed already is in the set.
    for (const site of direct.toSorted((a, b) => b - a)) {
      if (passed.has(site)) continue;
      for (const each of [site, ...(before[site] ?? [])]) passed.add(each);
    }
    before.push(passed);
    for (const { node } of draft.site.products) makers.set(node, index);
    const axis = axes.get(draft.keys) ?? axes.size;
    axes.set(draft.keys, axis);
    const stack = [...passed].map((i) => located[i]?.draft.site);
    const layer = stack.filter((site) => site?.kind === draft.site.kind).length;
    return { index, layer, where, graph: scope.graph, axis, ...draft.site, ...windowed(draft, stack) };
  });
}

/** A stage that fits into a single window is laid out like the windowed stages before it. */
function windowed(
  { site }: Draft,
  stack: readonly (Draft["site"] | undefined)[],
): Partial<Pick<AttentionSite, "leading" | "dims">> {
  const single = site.leading === "B,H" && stack.some((before) => before?.leading === "B*nW,H");
  return single ? { leading: "B*nW,H", dims: "B*nW,H,Tq,Tk" } : {};
}
