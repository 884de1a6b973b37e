/** The frame that every part of a report has. */
import { html, type Content, type Html } from "../html.ts";

export interface Section {
  /** Anchor of the part. */
  readonly id: string;
  readonly title: string;
  /** What is to be seen, in a sentence or two. */
  readonly lead?: Content;
  readonly body: Content;
}

export function sectionHtml({ id, title, lead, body }: Section): Html {
  return html`<section id="${id}">
    <h2>${title}</h2>
    ${lead === undefined ? null : html`<p class="lead">${lead}</p>`} ${body}
  </section> `;
}
