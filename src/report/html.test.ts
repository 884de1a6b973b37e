import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeText, html } from "./html.ts";

/** What a browser makes of the text between two tags. */
function shown(markup: string): string {
  return markup
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
}

describe("html", () => {
  it("lets no text end a tag, an attribute or an element", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const inside = html`<p title="${text}">${text}</p>`.text.slice('<p title="'.length, -"</p>".length);
        const [attribute = "", content = "", ...more] = inside.split('">');
        expect(more).toEqual([]);
        expect(attribute).not.toMatch(/["'<>]/);
        expect(content).not.toMatch(/["'<>]/);
      }),
    );
  });

  it("shows printable text as it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => {
        expect(shown(escapeText(text))).toBe(text);
      }),
    );
  });

  it("shows characters that a browser would obey instead of showing", () => {
    expect(escapeText("a\u202Eb\u0000c\uD800")).toBe("a\uFFFDb\uFFFDc\uFFFD");
  });

  it("keeps markup, joins lists and leaves out what is not there", () => {
    const items = ["a", "<b>"].map((item) => html`<li>${item}</li>`);
    const list = html`<p>${items}${null}${false}${undefined}${0}</p>`;
    expect(list.text.replaceAll(/\s*\n\s*/g, "")).toBe("<p><li>a</li><li>&lt;b&gt;</li>0</p>");
  });
});
