/** Recorded requests, the newest first: look at them, say which answers were wrong. */
import type { RecordedSample } from "./api-types.ts";
import { ask } from "./confirm.ts";
import { button, field, fill, h } from "./dom.ts";
import { ApiFailure, describeFailure } from "./failures.ts";
import { pictureUrl, saveFile } from "./files.ts";
import { ago, bytes, count, percent, plural } from "./format.ts";
import { markWrong } from "./marking.ts";
import { attempt, tell } from "./notices.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

export class RecordingsPanel implements Panel {
  readonly element: HTMLElement;
  readonly #bench: Workbench;
  readonly #show: (instance: unknown) => void;
  readonly #state = h("p", { class: "note" });
  readonly #list = h("ul", { class: "recordings" });
  readonly #which = h(
    "select",
    {},
    h("option", { value: "" }, "all samples"),
    h("option", { value: "true" }, "triggered"),
    h("option", { value: "false" }, "not triggered"),
  );
  /** Pictures by sample, so that each is fetched once. */
  readonly #instances = new Map<string, unknown>();

  /** @param show takes an instance to the try-it panel */
  constructor(bench: Workbench, show: (instance: unknown) => void) {
    this.#bench = bench;
    this.#show = show;
    this.#which.addEventListener("change", () => void this.#read());
    this.element = h(
      "section",
      { id: "recordings", class: "card", "aria-labelledby": "recordings-title" },
      h(
        "header",
        {},
        h("h2", { id: "recordings-title" }, "Recorded requests"),
        h(
          "div",
          { class: "buttons" },
          field("Show", this.#which),
          button("Refresh", () => void this.#read(), "plain"),
          button("Debug set", () => void this.#download(), "quiet"),
        ),
      ),
      this.#state,
      this.#list,
    );
  }

  update(view: View): void {
    const { recorder } = view.model;
    const { failing, clean } = view.feedback.debug_set;
    fill(this.#state, [recorder, failing, clean], () => {
      if (recorder.mode === "off")
        return [
          "Nothing is recorded. Start the server with ATPATCH_RECORD=inputs to find wrong answers again and repair from them.",
        ];
      const kept = `${plural(recorder.samples, "sample")} (${bytes(recorder.bytes)}) in memory, at most ${count(recorder.limits.samples)}`;
      const inputs =
        recorder.mode === "features" ? " Inputs are not recorded, so no debug set can be made." : "";
      return [`${kept}. Debug set: ${failing} failing, ${clean} clean.${inputs}`];
    });
    // Nobody's focus is taken away while new requests come in.
    const busy = this.#list.contains(document.activeElement);
    if (!busy) void this.#read();
  }

  async #read(): Promise<void> {
    const { api, name, view } = this.#bench;
    if (view === null || view.model.recorder.mode === "off") {
      fill(this.#list, "off", () => []);
      return;
    }
    await attempt(async () => {
      const only = this.#which.value === "" ? null : this.#which.value === "true";
      const samples = await api.recordings(name, only).catch((error: unknown) => {
        // Not a failure of this page: the list stays empty, and says why.
        if (error instanceof ApiFailure && error.status === 403) return error;
        throw error;
      });
      if (name !== this.#bench.name) return;
      if (samples instanceof ApiFailure) {
        fill(this.#list, samples.message, () => [h("li", { class: "empty" }, describeFailure(samples).what)]);
        return;
      }
      fill(this.#list, [name, samples], () =>
        samples.length === 0
          ? [h("li", { class: "empty" }, "No such request was recorded yet.")]
          : samples.map((sample) => this.#item(sample, view.model.labels)),
      );
    });
  }

  #item(sample: RecordedSample, labels: readonly string[]): HTMLElement {
    const { request_id: id, at, label, score, triggered, mark, has_instance: hasInstance } = sample;
    const pictured = this.#bench.view?.model.task === "image-classification";
    const thumb = h("span", { class: "thumb" });
    const excerpt = h("span", { class: "excerpt" });
    if (hasInstance) void this.#preview(sample, thumb, excerpt);
    const said =
      mark === null
        ? null
        : mark.set === "failing"
          ? h("span", { class: "badge failing" }, `wrong, is ${labels[mark.label] ?? mark.label}`)
          : h("span", { class: "badge active" }, "fine");
    return h(
      "li",
      { "data-request": id, class: pictured ? "pictured" : "" },
      pictured && thumb,
      h(
        "span",
        { class: "what" },
        h("strong", {}, label),
        ` ${percent(score, 0)}`,
        triggered && h("span", { class: "badge off" }, "triggered"),
        said,
        excerpt,
      ),
      h("span", { class: "note", title: id }, ago(at, Date.now())),
      h(
        "span",
        { class: "buttons" },
        mark === null &&
          button("Wrong…", () => void this.#wrong(sample), "plain", { "aria-label": `Wrong: ${label}` }),
        mark === null &&
          button("Fine", () => void this.#fine(sample), "quiet", { "aria-label": `Fine: ${label}` }),
        mark !== null && button("Take back", () => void this.#unmark(sample), "quiet"),
        hasInstance &&
          button("Try", () => void this.#try(sample), "quiet", { "aria-label": `Try ${label} again` }),
      ),
    );
  }

  async #wrong({ request_id: requestId, sample, label }: RecordedSample): Promise<void> {
    if (await markWrong(this.#bench, { requestId, sample, label })) await this.#read();
  }

  async #fine({ request_id: id, sample }: RecordedSample): Promise<void> {
    const { api, name } = this.#bench;
    await this.#bench.act(() => api.mark(name, { request_id: id, sample, set: "clean" }));
  }

  async #unmark(sample: RecordedSample): Promise<void> {
    const { api, name } = this.#bench;
    await this.#bench.act(() => api.unmark(name, sample));
  }

  async #try(sample: RecordedSample): Promise<void> {
    await attempt(async () => this.#show(await this.#instance(sample)));
  }

  /** Shows what was sent: a small picture, or the beginning of a text. */
  async #preview(sample: RecordedSample, thumb: HTMLElement, excerpt: HTMLElement): Promise<void> {
    const instance = await this.#instance(sample).catch(() => null);
    const base64 = (instance as { b64?: string } | null)?.b64;
    if (base64 !== undefined) thumb.append(h("img", { src: pictureUrl(base64), alt: "" }));
    else if (instance !== null) excerpt.textContent = excerptOf(instance);
  }

  async #instance(sample: RecordedSample): Promise<unknown> {
    const { api, name } = this.#bench;
    const key = `${name}/${sample.request_id}#${sample.sample}@${sample.at}`;
    const known = this.#instances.get(key) ?? (await api.recordedInstance(name, sample));
    if (this.#instances.size > 500) this.#instances.clear();
    this.#instances.set(key, known);
    return known;
  }

  async #download(): Promise<void> {
    const { api, name } = this.#bench;
    const sure = await ask({
      title: "Download the debug set?",
      text: "It holds what users sent to the model. Keep it as carefully as they would.",
      action: "Download",
      asksReason: false,
    });
    if (sure === null) return;
    await attempt(async () => {
      saveFile(await api.debugSet(name), `${name}-debug.jsonl`);
      tell("The debug set is downloaded.");
    });
  }
}

const longestExcerpt = 160;

function excerptOf(instance: unknown): string {
  const text = typeof instance === "string" ? instance : JSON.stringify(instance);
  return text.length > longestExcerpt ? `${text.slice(0, longestExcerpt)}…` : text;
}
