/** Attention drawn over what was sent: patches of a picture, tokens of a text, features of a row. */
import type { Place, SampleAttention } from "./api-types.ts";
import { massesOf, strength, type Side } from "./attention.ts";
import { h, s } from "./dom.ts";
import { pictureUrl } from "./files.ts";
import { percent } from "./format.ts";

export interface AttentionRequest {
  readonly instance: unknown;
  readonly attention: SampleAttention;
  readonly side: Side;
  /** Columns that the detector flagged, or that are repaired in every sample, with the word for that. */
  readonly flagged: ReadonlyMap<number, string>;
  /** Mass that is drawn at full strength. */
  readonly full: number;
  /** Null for the mean over all sites. */
  readonly site: number | null;
  /** Size of the picture that was sent, where it is one. */
  readonly size: { readonly width: number; readonly height: number } | null;
}

interface Cell {
  readonly place: Place;
  readonly mass: number;
  /** From 0 to 1. */
  readonly strength: number;
  /** Why the column is outlined, or null. */
  readonly flagged: string | null;
}

export function attentionView(request: AttentionRequest): Element {
  const { attention, side, site, instance, size, flagged, full } = request;
  const cells = massesOf(attention, side, site).flatMap((mass, key): Cell[] => {
    const place = attention.places[key];
    return place ? [{ place, mass, strength: strength(mass, full), flagged: flagged.get(key) ?? null }] : [];
  });
  if (size !== null) return overPicture(cells, (instance as { b64: string }).b64, size, side);
  if (typeof instance === "string") return overText(cells, instance);
  return bars(cells, full);
}

function overPicture(
  cells: readonly Cell[],
  base64: string,
  { width, height }: { readonly width: number; readonly height: number },
  side: Side,
): Element {
  const found = cells.filter(({ flagged }) => flagged !== null).length;
  const picture = s("image", { href: pictureUrl(base64), width, height, class: "pixels" });
  const thickness = Math.max(width, height) / 110;
  return s(
    "svg",
    {
      class: "attention-picture",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Attention ${side} the patch over the picture; ${found} patches flagged`,
    },
    picture,
    ...cells.map(({ place, mass, strength: opacity, flagged }) => {
      if (!("box" in place)) return null;
      const [x, y, w, h_] = place.box;
      const title = s(
        "title",
        {},
        `patch ${place.patch.join(", ")}: ${percent(mass)}${flagged === null ? "" : `, ${flagged}`}`,
      );
      return s(
        "rect",
        { x, y, width: w, height: h_, class: "heat", "fill-opacity": (0.75 * opacity).toFixed(3) },
        title,
      );
    }),
    // Outlines last, so that no neighbour covers them.
    ...cells.map(({ place, flagged }) => {
      if (flagged === null || !("box" in place)) return null;
      const [x, y, w, h_] = place.box;
      const box = { x, y, width: w, height: h_ };
      return s(
        "g",
        { class: "flagged" },
        s("rect", { ...box, class: "under", "stroke-width": 2 * thickness }),
        s("rect", { ...box, "stroke-width": thickness }),
      );
    }),
  );
}

function overText(cells: readonly Cell[], text: string): Element {
  const view = h("p", { class: "attention-text" });
  let end = 0;
  for (const { place, mass, strength: opacity, flagged } of cells) {
    if (!("token" in place) || place.start < end) continue;
    view.append(text.slice(end, place.start));
    const title = `${place.token}: ${percent(mass)}${flagged === null ? "" : `, ${flagged}`}`;
    const token = h(
      "span",
      { class: flagged ? "token flagged" : "token", title },
      text.slice(place.start, place.end),
    );
    token.style.setProperty("--heat", opacity.toFixed(3));
    view.append(token);
    end = place.end;
  }
  view.append(text.slice(end));
  return view;
}

function bars(cells: readonly Cell[], full: number): Element {
  return h(
    "ul",
    { class: "attention-bars" },
    ...cells.map(({ place, mass, flagged }) => {
      const name =
        "feature" in place
          ? place.feature
          : "token" in place
            ? place.token
            : `patch ${place.patch.join(", ")}`;
      return h(
        "li",
        { class: flagged ? "flagged" : "" },
        h("span", { class: "name" }, name, flagged && h("span", { class: "badge off" }, flagged)),
        bar(mass / full),
        h("span", { class: "value" }, percent(mass)),
      );
    }),
  );
}

/** A horizontal bar of a share from 0 to 1. */
export function bar(share: number): Element {
  return s(
    "svg",
    { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", width: 100, height: 8 }),
    s("rect", { class: "filled", width: Math.max(0, Math.min(100, share * 100)).toFixed(1), height: 8 }),
  );
}
