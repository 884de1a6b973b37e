/** The history: what was done, by whom and why, and whether its chain of digests holds. */
import type { HistoryEntry } from "./api-types.ts";
import type { ChainState } from "./chain.ts";
import { button, fill, h } from "./dom.ts";
import { count, shortId } from "./format.ts";
import { changedText } from "./history-text.ts";
import type { Panel, View } from "./workbench.ts";

const step = 15;

export class HistoryPanel implements Panel {
  readonly element: HTMLElement;
  readonly #chain = h("p", { class: "chain" });
  readonly #rows = h("tbody", {});
  readonly #more: HTMLButtonElement;
  #shown = step;
  #view: View | null = null;

  constructor() {
    this.#more = button(
      "Show more",
      () => {
        this.#shown += 4 * step;
        if (this.#view) this.update(this.#view);
      },
      "quiet",
    );
    const column = (text: string): HTMLElement => h("th", { scope: "col" }, text);
    this.element = h(
      "section",
      { id: "history", class: "card", "aria-labelledby": "history-title" },
      h("header", {}, h("h2", { id: "history-title" }, "History"), this.#chain),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "history-title" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ...["When", "Who", "What", "Why"].map(column))),
          this.#rows,
        ),
      ),
      h("div", { class: "buttons" }, this.#more),
    );
  }

  update(view: View): void {
    this.#view = view;
    const { history, chain } = view;
    fill(this.#chain, chain, () => chainText(chain));
    const shown = history.slice(0, this.#shown);
    this.#more.hidden = history.length <= this.#shown;
    fill(this.#rows, shown, () =>
      shown.length === 0
        ? [h("tr", {}, h("td", { colspan: 4, class: "empty" }, "Nothing was done yet."))]
        : shown.map(row),
    );
  }
}

function row(entry: HistoryEntry): HTMLElement {
  const at = new Date(entry.at);
  return h(
    "tr",
    {},
    h("td", {}, h("time", { datetime: entry.at, title: entry.at }, at.toLocaleString("en-GB"))),
    h("td", {}, entry.actor),
    h("td", {}, changedText(entry)),
    h("td", { class: entry.reason === null ? "note" : "" }, entry.reason ?? "–"),
  );
}

function chainText(chain: ChainState): (Node | string)[] {
  switch (chain.state) {
    case "verified":
      return [
        h("span", { class: "badge active" }, "chain verified"),
        ` ${count(chain.entries)} entries, `,
        h("code", { title: chain.digest ?? "" }, shortId(chain.digest)),
      ];
    case "broken":
      return [
        h("span", { class: "badge failing" }, "chain broken"),
        ` Entry ${chain.sequence} does not continue the one before: the history was changed.`,
      ];
    case "unchecked":
      return [h("span", { class: "badge previous" }, "chain not checked"), ` ${chain.why}`];
  }
}
