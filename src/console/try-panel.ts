/** One instance, answered without and with the patch, side by side. */
import type { ModelState, Prediction } from "./api-types.ts";
import type { Predicted } from "./api.ts";
import { attentionView, bar } from "./attention-view.ts";
import { fullStrength, type Side } from "./attention.ts";
import { button, field, fill, h } from "./dom.ts";
import { percent, shortId } from "./format.ts";
import { instanceInput, sampleButtons, type InstanceInput } from "./instance-input.ts";
import { markWrong } from "./marking.ts";
import { attempt, tellFailure } from "./notices.ts";
import { pictureUrl } from "./files.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

interface Tried {
  readonly instance: unknown;
  readonly size: { readonly width: number; readonly height: number } | null;
  readonly off: Predicted;
  readonly on: Predicted;
}

export class TryPanel implements Panel {
  readonly element: HTMLElement;
  readonly #bench: Workbench;
  readonly #inputs = h("div", { class: "try-input" });
  readonly #sites = h("select", {});
  readonly #outcome = h("div", { class: "try-outcome", "aria-live": "polite" });
  readonly #run = button("Predict", () => void this.#predict(), "primary");
  #input: InstanceInput | null = null;
  #tried: Tried | null = null;
  /** What answered when it was tried. */
  #answeredBy = "";

  constructor(bench: Workbench) {
    this.#bench = bench;
    this.#sites.addEventListener("change", () => this.#show());
    this.element = h(
      "section",
      { id: "try", class: "card", "aria-labelledby": "try-title" },
      h("header", {}, h("h2", { id: "try-title" }, "Try it"), field("Attention at", this.#sites)),
      h("div", { class: "try" }, this.#inputs, this.#outcome),
    );
    this.#show();
  }

  update({ model, tryOut }: View): void {
    fill(this.#sites, [model.model, model.sites.length], () => [
      h("option", { value: "" }, "all sites, mean"),
      ...model.sites.map(({ index }) => h("option", { value: index }, `site ${index}`)),
    ]);
    fill(this.#inputs, [model.model, tryOut], () => {
      const input = instanceInput(model.task, tryOut, () => void this.#predict());
      const choose = (instance: unknown): void => {
        input.write(instance);
        // A picture says by itself that it has changed.
        if (model.task !== "image-classification") void this.#predict();
      };
      this.#input = input;
      this.#tried = null;
      this.#show();
      return [sampleButtons(tryOut, choose), input.element, this.#run];
    });
    this.#follow(model);
  }

  /** Tries again when something else answers now. */
  #follow({ active, policy: { mode } }: ModelState): void {
    const answeredBy = `${active ?? ""} ${mode}`;
    if (answeredBy === this.#answeredBy) return;
    this.#answeredBy = answeredBy;
    if (this.#tried !== null) void this.#predict();
  }

  /** Shows a recorded instance. */
  async take(instance: unknown): Promise<void> {
    this.#input?.write(instance);
    this.element.scrollIntoView({ block: "start" });
    await this.#predict();
  }

  async #predict(): Promise<void> {
    let instance: unknown;
    try {
      instance = this.#input?.read() ?? null;
      if (instance === null) throw new Error("Put something in first, or take one of the samples.");
    } catch (error) {
      tellFailure(error);
      return;
    }
    const { api, name } = this.#bench;
    this.#run.disabled = true;
    this.#outcome.setAttribute("aria-busy", "true");
    await attempt(async () => {
      const [off, on, size] = await Promise.all([
        api.predict(name, instance, "off"),
        api.predict(name, instance, undefined),
        sizeOf(instance),
      ]);
      if (name !== this.#bench.name) return;
      this.#tried = { instance, off, on, size };
      this.#show();
    });
    this.#run.disabled = false;
    this.#outcome.removeAttribute("aria-busy");
  }

  #show(): void {
    const tried = this.#tried;
    fill(this.#outcome, [tried, this.#sites.value], () => {
      if (tried === null)
        return [
          h(
            "p",
            { class: "empty" },
            "The answer without the patch and with it appear here, with the attention before and after.",
          ),
        ];
      return [this.#side(tried, "before"), this.#side(tried, "after")];
    });
  }

  /** Both sides at the same strength, with the flagged columns outlined on both. */
  #attention({ off, on, ...sent }: Tried, side: Side): Element | null {
    const site = this.#sites.value === "" ? null : Number(this.#sites.value);
    const [before, after] = [off, on].map(({ answer }) => answer.predictions[0]!.atpatch);
    const attention = (side === "before" ? before : after)?.attention;
    if (!before?.attention || !after?.attention || !attention) return null;
    const full = fullStrength(
      [
        [before.attention, "before"],
        [after.attention, "after"],
      ],
      site,
    );
    const flagged = new Map(
      after.columns.map(({ index, forced }) => [index, forced ? "always repaired" : "flagged"]),
    );
    return attentionView({ ...sent, attention, side, flagged, full, site });
  }

  #side(tried: Tried, side: Side): HTMLElement {
    const { answer, requestId } = side === "before" ? tried.off : tried.on;
    const prediction = answer.predictions[0]!;
    const { mode, triggered, columns } = prediction.atpatch;
    const view = this.#attention(tried, side);
    const detector = answer.atpatch.detector;
    const title = side === "before" ? "Patch off" : detector === null ? "No detector" : `Patch ${mode}`;
    return h(
      "article",
      { class: `answer ${side}`, "data-side": side, "aria-label": title },
      h(
        "h3",
        {},
        title,
        side === "after" && detector !== null && h("code", { title: detector }, shortId(detector)),
        triggered && h("span", { class: "badge off" }, `triggered, ${columns.length} flagged`),
      ),
      h("p", { class: "answer-label" }, prediction.label, h("span", {}, percent(prediction.score))),
      view ?? h("p", { class: "note" }, "This model returns no attention."),
      probabilities(prediction),
      side === "after" &&
        h(
          "div",
          { class: "buttons" },
          button(
            "This answer is wrong…",
            () => void markWrong(this.#bench, { requestId, sample: 0, label: prediction.label }),
            "plain",
          ),
        ),
    );
  }
}

function probabilities({ probabilities: shares }: Prediction): HTMLElement {
  return h(
    "ul",
    { class: "probabilities", "aria-label": "Most probable labels" },
    ...Object.entries(shares).map(([label, share]) =>
      h(
        "li",
        {},
        h("span", { class: "name" }, label),
        bar(share),
        h("span", { class: "value" }, percent(share)),
      ),
    ),
  );
}

/** Size of a picture in pixels; null for what is none. */
async function sizeOf(instance: unknown): Promise<Tried["size"]> {
  const base64 = (instance as { b64?: unknown } | null)?.b64;
  if (typeof base64 !== "string") return null;
  const image = new Image();
  image.src = pictureUrl(base64);
  await image.decode();
  return { width: image.naturalWidth, height: image.naturalHeight };
}
