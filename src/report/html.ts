/** HTML that cannot be injected into: whatever is put into a template is escaped, unless a template made it. */

/** Markup that a template made. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template; null, undefined and false stand for nothing, lists for their items in a row. */
export type Content = Html | string | number | null | undefined | false | readonly Content[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Control characters that HTML forbids, and those that turn the direction of what follows. */
const unprintable = /(?![\t\n\r])\p{Cc}|\p{Bidi_Control}/gu;

/** Text as it can stand between tags and inside quoted attributes. */
export function escapeText(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, "\uFFFD")
    .replace(unprintable, "\uFFFD")
    .replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** Template tag; attribute values must be quoted in the template. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join(""));
}

function render(value: Content): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? escapeText(value) : value.map(render).join("");
}
