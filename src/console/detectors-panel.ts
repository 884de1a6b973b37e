/** The stored detectors with what their reports say, and what can be done with each. */
import type { DetectorDescription } from "./api-types.ts";
import { activate, canary, removeDetector, rollBack, shadow } from "./changes.ts";
import { button, definitions, fill, h } from "./dom.ts";
import { ago, bytes, shortId } from "./format.ts";
import { saveFile } from "./files.ts";
import { tell } from "./notices.ts";
import { reportLines, verdictOf } from "./report.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

export class DetectorsPanel implements Panel {
  readonly element: HTMLElement;
  readonly #bench: Workbench;
  readonly #list = h("ul", { class: "detectors" });
  readonly #none = button("Serve without", () => void activate(this.#bench, null), "quiet");
  readonly #back = button("Roll back", () => void rollBack(this.#bench), "danger");

  constructor(bench: Workbench) {
    this.#bench = bench;
    const file = h("input", {
      type: "file",
      accept: ".safetensors",
      class: "hidden-file",
      id: "upload-bundle",
    });
    file.addEventListener("change", () => void this.#upload(file));
    this.element = h(
      "section",
      { id: "detectors", class: "card", "aria-labelledby": "detectors-title" },
      h(
        "header",
        {},
        h("h2", { id: "detectors-title" }, "Detectors"),
        h(
          "div",
          { class: "buttons" },
          this.#back,
          this.#none,
          file,
          h("label", { for: "upload-bundle", class: "button plain" }, "Upload…"),
        ),
      ),
      this.#list,
    );
  }

  update({ model, detectors }: View): void {
    this.#back.disabled = model.previous === null;
    this.#none.disabled = model.active === null;
    fill(this.#list, [detectors, Math.floor(Date.now() / 60_000)], () =>
      detectors.length === 0
        ? [h("li", { class: "empty" }, "No detector is stored. Upload one, or start a repair below.")]
        : detectors.map((detector) => this.#item(detector)),
    );
  }

  #item(detector: DetectorDescription): HTMLElement {
    const { id, roles, size, uploadedAt, metadata } = detector;
    const bench = this.#bench;
    const has = (role: string): boolean => roles.includes(role);
    const inUse = has("active") || has("shadow") || has("canary");
    const lines = reportLines(metadata).map(({ name, value, range }) => [name, value, range] as const);
    return h(
      "li",
      { class: has("active") ? "detector is-active" : "detector", "data-detector": id },
      h(
        "div",
        { class: "detector-head" },
        h("code", { title: id }, shortId(id)),
        ...roles.map((role) => h("span", { class: `badge ${role}` }, role)),
        h("span", { class: "note" }, `${ago(uploadedAt, Date.now())}, ${bytes(size)}`),
      ),
      h("p", { class: "verdict" }, verdictOf(metadata) ?? "No report"),
      lines.length > 0 &&
        h("details", { open: has("active") }, h("summary", {}, "Report"), definitions(lines)),
      h(
        "div",
        { class: "buttons" },
        !has("active") &&
          button("Activate", () => void activate(bench, id), "primary", about("Activate", id)),
        !has("active") &&
          !has("shadow") &&
          button("Shadow", () => void shadow(bench, id), "plain", about("Shadow", id)),
        !has("active") &&
          !has("canary") &&
          button("Canary…", () => void canary(bench, id), "plain", about("Canary with", id)),
        button("Download", () => void this.#download(id), "quiet", about("Download", id)),
        !inUse && button("Remove", () => void removeDetector(bench, id), "quiet", about("Remove", id)),
      ),
    );
  }

  async #upload(input: HTMLInputElement): Promise<void> {
    const file = input.files?.[0];
    input.value = "";
    if (file === undefined) return;
    const { name, api } = this.#bench;
    await this.#bench.act(async () => {
      const { id } = await api.upload(name, file);
      tell(`Detector ${shortId(id)} is stored. No request gets it yet.`);
    });
  }

  async #download(id: string): Promise<void> {
    const { name, api } = this.#bench;
    await this.#bench.act(async () => saveFile(await api.detectorFile(name, id), `${id}.safetensors`));
  }
}

/** Which detector a button is about, for those who hear the page; the visible text comes first. */
function about(what: string, id: string): Readonly<Record<string, string>> {
  return { "aria-label": `${what} detector ${shortId(id)}` };
}
