/** What a sample looks like to the model: its parts, tinted by the attention they get. */
import type { Example, SampleContent } from "../data.ts";
import { html, type Html } from "../html.ts";

/** Steps of tint from none to full. */
const steps = 9;

/** Tint for multiples of an even share on one scale for a whole sample. */
function tintScale({ attention }: Pick<Example, "attention">): (multiple: number) => number {
  const all = attention.flatMap(({ before, after }) => [...before, ...(after ?? [])]);
  const most = all.reduce((high, multiple) => Math.max(high, multiple), 4);
  // An even share, 1, is the floor: what gets less is not tinted.
  return (multiple) => Math.max(0, Math.min(1, Math.log(Math.max(multiple, 1)) / Math.log(most)));
}

/** The attention of a sample before and after the patch. */
export function attentionView(example: Example): Html {
  const { content } = example;
  const tint = tintScale(example);
  if (content.kind === "picture") return pictureView(example, content, tint);
  if (content.kind === "text") return textView(example, content, tint);
  if (content.kind === "row") return rowView(example, content);
  return html`<p class="none">This kind of instance cannot be drawn.</p>`;
}

type Tint = (multiple: number) => number;

/** Side of a drawn picture in its own units. */
const side = 96;

function pictureView(
  { attention, columns }: Example,
  content: Extract<SampleContent, { kind: "picture" }>,
  tint: Tint,
): Html {
  const { source, rows, columns: across, first_key: firstKey } = content;
  const [width, height] = [side / across, side / rows];
  const cell = (key: number): { x: string; y: string } => ({
    x: (((key - firstKey) % across) * width).toFixed(2),
    y: (Math.floor((key - firstKey) / across) * height).toFixed(2),
  });
  const image =
    source && html`<image href="${source}" width="${side}" height="${side}" preserveAspectRatio="none" />`;
  const frames = columns.map((key) => {
    const { x, y } = cell(key);
    return html`<rect
      class="frame"
      x="${x}"
      y="${y}"
      width="${width.toFixed(2)}"
      height="${height.toFixed(2)}"
    />`;
  });
  const heat = (multiples: readonly number[]): Html[] =>
    Array.from({ length: rows * across }, (_, i) => firstKey + i).flatMap((key) => {
      const strength = tint(multiples[key] ?? 0);
      if (strength < 0.03) return [];
      const { x, y } = cell(key);
      return [
        html`<rect
          class="heat"
          x="${x}"
          y="${y}"
          width="${width.toFixed(2)}"
          height="${height.toFixed(2)}"
          fill-opacity="${(0.92 * strength).toFixed(2)}"
        >
          <title>${(multiples[key] ?? 0).toFixed(1)} × an even share</title>
        </rect>`,
      ];
    });
  const frame = (inside: readonly (Html | string | null)[], what: string, className = ""): Html =>
    html`<svg class="picture ${className}" viewBox="0 0 ${side} ${side}" role="img" aria-label="${what}">
      ${inside}
    </svg>`;
  const line = (
    name: string,
    of: (site: Example["attention"][number]) => readonly number[] | null,
  ): Html | null => {
    const drawn = attention.flatMap((site) => {
      const multiples = of(site);
      return multiples === null ? [] : [{ site: site.site, multiples }];
    });
    if (drawn.length === 0) return null;
    return html`<div class="strip">
      <span class="strip-name">${name}</span>
      ${drawn.map(
        ({ site, multiples }) =>
          html`<figure>
            ${frame([image, html`<rect class="veil" width="${side}" height="${side}" />`, ...heat(multiples), ...frames], `attention ${name} at site ${site}`, "grey")}
            <figcaption>site ${site}</figcaption>
          </figure>`,
      )}
    </div>`;
  };
  return html`<div class="picture-view">
    <figure>
      ${frame([image, ...frames], "the picture")}
      <figcaption>${columns.length > 0 ? `${columns.length} flagged` : "nothing flagged"}</figcaption>
    </figure>
    <div class="strips">${line("before", ({ before }) => before)} ${line("after", ({ after }) => after)}</div>
  </div>`;
}

/** Mean over the shown sites. */
function meanOf(
  attention: Example["attention"],
  pick: (site: Example["attention"][number]) => readonly number[] | null,
): number[] | null {
  const all = attention.map(pick).filter((multiples) => multiples !== null);
  const [first] = all;
  if (first === undefined) return null;
  return first.map((_, key) => all.reduce((sum, multiples) => sum + (multiples[key] ?? 0), 0) / all.length);
}

function textView(
  { attention, columns }: Example,
  { pieces, cut }: Extract<SampleContent, { kind: "text" }>,
  tint: Tint,
): Html {
  const flagged = new Set(columns);
  const line = (name: string, multiples: readonly number[] | null): Html | null =>
    multiples &&
    html`<div class="token-line">
      <span class="strip-name">${name}</span>
      <p>
        ${pieces.map(({ space, text, key }) => {
          const level = Math.round(tint(multiples[key] ?? 0) * steps);
          const title = `${(multiples[key] ?? 0).toFixed(1)} × an even share`;
          return html`${space}<span
              class="token h${level}${flagged.has(key) ? " flagged" : ""}"
              title="${title}"
              >${text}</span
            >`;
        })}${cut ? " …" : null}
      </p>
    </div>`;
  return html`<div class="text-view">
    ${line(
      "before",
      meanOf(attention, ({ before }) => before),
    )}
    ${line(
      "after",
      meanOf(attention, ({ after }) => after),
    )}
  </div>`;
}

function rowView(
  { attention, columns }: Example,
  { features }: Extract<SampleContent, { kind: "row" }>,
): Html {
  const flagged = new Set(columns);
  const before = meanOf(attention, (site) => site.before);
  const after = meanOf(attention, (site) => site.after);
  const most = Math.max(1, ...(before ?? []), ...(after ?? []));
  const bar = (multiples: readonly number[] | null, key: number, kind: string, y: number): Html | null =>
    multiples &&
    html`<rect
      class="${kind}"
      x="0"
      y="${y}"
      height="5"
      width="${((100 * (multiples[key] ?? 0)) / most).toFixed(2)}%"
    >
      <title>${(multiples[key] ?? 0).toFixed(2)} × an even share</title>
    </rect>`;
  return html`<div class="row-view">
    ${features.map(
      ({ name, value, key }) =>
        html`<div class="feature${flagged.has(key) ? " flagged" : ""}">
          <span>${name}</span><b>${value}</b>
          <svg width="100%" height="13" aria-hidden="true">
            ${bar(before, key, "was", 1)} ${bar(after, key, "is", 7)}
          </svg>
        </div>`,
    )}
  </div>`;
}

/** Classes of the tint steps, for the style sheet. */
export const tintSteps = Array.from({ length: steps + 1 }, (_, level) => ({ level, share: level / steps }));
