/** Elements, made without any HTML text: nothing that comes from a server or a user is ever parsed as markup. */

type Child = Node | string | null | false | undefined;
type Properties = Readonly<
  Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>
>;

const svgSpace = "http://www.w3.org/2000/svg";

/**
 * An HTML element. `on…` properties are listeners, `class` and names with a dash are attributes, booleans set or leave an
 * attribute, everything else is an attribute too.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  dress(element, properties);
  element.append(...present(children));
  return element;
}

/** An SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(svgSpace, tag);
  dress(element, properties);
  element.append(...present(children));
  return element;
}

function dress(element: Element, properties: Properties): void {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
}

function present(children: readonly Child[]): (Node | string)[] {
  return children.filter(
    (child): child is Node | string => child !== null && child !== false && child !== undefined,
  );
}

/** Replaces what is inside an element, but only when `what` has changed since the last time: focus and scroll stay. */
export function fill(element: Element, what: unknown, make: () => readonly Child[]): void {
  const text = JSON.stringify(what);
  const known = element as Element & { drawnFrom?: string };
  if (known.drawnFrom === text) return;
  known.drawnFrom = text;
  element.replaceChildren(...present(make()));
}

/** The element of that id; the page has it. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element "${id}"`);
  return found;
}

let serial = 0;

/** A fresh id, to tie a label to its field. */
export function freshId(prefix: string): string {
  serial += 1;
  return `${prefix}-${serial}`;
}

/** A field under its label. */
export function field(label: string, control: HTMLElement, hint: string | null = null): HTMLElement {
  control.id ||= freshId("field");
  const note = hint === null ? null : h("p", { class: "hint", id: `${control.id}-hint` }, hint);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** A button. */
export function button(
  text: string,
  onclick: () => void,
  kind: "primary" | "plain" | "danger" | "quiet" = "plain",
  properties: Properties = {},
): HTMLButtonElement {
  return h("button", { type: "button", class: `button ${kind}`, onclick, ...properties }, text);
}

/** A list of names with their values. */
export function definitions(
  rows: readonly (readonly [name: string, value: Child, note?: string | null])[],
): HTMLElement {
  const list = h("dl", { class: "facts" });
  for (const [name, value, note] of rows) {
    list.append(
      h("div", {}, h("dt", {}, name), h("dd", {}, value, note ? h("span", { class: "range" }, note) : null)),
    );
  }
  return list;
}
