/** The policy: mode, failures, canary, guard and shadow, each with what it shows at the moment. */
import type { GuardFigures, GuardLimits, ModelState, Policy } from "./api-types.ts";
import { activate, canary, setGuard, setMode, setOnError, shadow } from "./changes.ts";
import { button, definitions, field, fill, freshId, h } from "./dom.ts";
import { ago, count, percent, plural, shortId } from "./format.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

export class PolicyPanel implements Panel {
  readonly element: HTMLElement;
  readonly #bench: Workbench;
  readonly #modes = h("div", {});
  readonly #shadow = h("div", { class: "block" });
  readonly #canary = h("div", { class: "block" });
  readonly #guard = h("div", { class: "block" });

  constructor(bench: Workbench) {
    this.#bench = bench;
    this.element = h(
      "section",
      { id: "policy", class: "card", "aria-labelledby": "policy-title" },
      h("header", {}, h("h2", { id: "policy-title" }, "Policy")),
      this.#modes,
      this.#shadow,
      this.#canary,
      this.#guard,
    );
  }

  update({ model }: View): void {
    const { policy } = model;
    fill(this.#modes, [policy.mode, policy.onError], () => [
      choice("Mode", ["off", "observe", "enforce"], policy.mode, (mode) => void setMode(this.#bench, mode)),
      choice(
        "When detection fails",
        ["open", "closed"],
        policy.onError,
        (way) => void setOnError(this.#bench, way),
      ),
    ]);
    fill(this.#shadow, [model.shadow, Math.floor(Date.now() / 30_000)], () => this.#shadowBlock(model));
    fill(this.#canary, policy.canary, () => this.#canaryBlock(policy));
    fill(this.#guard, [policy.guard, model.guard], () => this.#guardBlock(model));
  }

  #shadowBlock({ shadow: state }: ModelState): HTMLElement[] {
    if (state === null)
      return [h("h3", {}, "Shadow"), h("p", { class: "note" }, "None. Start one from a stored detector.")];
    const { detector, since, samples, dropped, agreement } = state;
    const row = (name: string, on: number, off: number): HTMLElement =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, count(on)), h("td", {}, count(off)));
    const column = (text: string): HTMLElement => h("th", { scope: "col" }, text);
    return [
      h("h3", {}, "Shadow ", h("code", { title: detector }, shortId(detector))),
      h(
        "p",
        { class: "note" },
        `${plural(samples, "sample")} since ${ago(since, Date.now())}${dropped > 0 ? `, ${count(dropped)} not scored` : ""}`,
      ),
      h(
        "table",
        { class: "agreement" },
        h("caption", {}, "Who triggered"),
        h("thead", {}, h("tr", {}, h("td", {}), column("shadow"), column("not shadow"))),
        h(
          "tbody",
          {},
          row("active", agreement.both, agreement.active),
          row("not active", agreement.shadow, agreement.neither),
        ),
      ),
      h(
        "div",
        { class: "buttons" },
        button("Activate the shadow", () => void activate(this.#bench, detector), "primary"),
        button("Stop the shadow", () => void shadow(this.#bench, null), "quiet"),
      ),
    ];
  }

  #canaryBlock({ canary: share }: Policy): HTMLElement[] {
    if (share === null)
      return [
        h("h3", {}, "Canary"),
        h("p", { class: "note" }, "None. Every request gets the active detector."),
      ];
    return [
      h("h3", {}, "Canary ", h("code", { title: share.detector }, shortId(share.detector))),
      h("p", { class: "note" }, `${share.percent} % of the requests`),
      h(
        "div",
        { class: "buttons" },
        button("Activate the canary", () => void activate(this.#bench, share.detector), "primary"),
        button("End the canary", () => void canary(this.#bench, null), "quiet"),
      ),
    ];
  }

  #guardBlock({ policy: { guard }, guard: state }: ModelState): HTMLElement[] {
    const seen = state?.active ?? state?.canary ?? null;
    const armed =
      state === null
        ? null
        : h(
            "span",
            { class: `badge ${state.armed ? "active" : "off"}` },
            state.armed ? "armed" : "has acted",
          );
    return [
      h("h3", {}, "Guard ", ...(armed ? [armed] : [])),
      h(
        "p",
        { class: "note" },
        guard === null ? "None. Nothing is rolled back by itself." : limitsText(guard),
      ),
      ...(guard !== null && seen !== null ? [definitions(seenRows(seen))] : []),
      this.#guardForm(guard),
    ];
  }

  #guardForm(guard: GuardLimits | null): HTMLElement {
    const window = h("input", {
      type: "number",
      min: 1,
      max: 86_400,
      step: 1,
      required: true,
      value: guard?.window_s ?? 60,
    });
    const share = (value: number | undefined): HTMLInputElement =>
      h("input", {
        type: "number",
        min: 0,
        max: 100,
        step: "any",
        ...(value !== undefined && { value: value * 100 }),
      });
    const triggers = share(guard === null ? 0.2 : guard.max_trigger_rate);
    const flips = share(guard?.max_label_flip_rate);
    const read = (input: HTMLInputElement): number | undefined =>
      input.value === "" ? undefined : Number(input.value) / 100;
    const form = h(
      "form",
      { class: "row" },
      field("Window, seconds", window),
      field("Trigger rate limit, %", triggers),
      field("Label flip limit, %", flips),
      h("button", { type: "submit", class: "button plain" }, guard === null ? "Set the guard" : "Change"),
      guard !== null && button("Take it away", () => void setGuard(this.#bench, null), "quiet"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [triggerRate, flipRate] = [read(triggers), read(flips)];
      void setGuard(this.#bench, {
        window_s: Number(window.value),
        ...(triggerRate !== undefined && { max_trigger_rate: triggerRate }),
        ...(flipRate !== undefined && { max_label_flip_rate: flipRate }),
        ...(guard?.min_samples !== undefined && { min_samples: guard.min_samples }),
      });
    });
    return h("details", {}, h("summary", {}, guard === null ? "Set limits" : "Change limits"), form);
  }
}

function limitsText({
  window_s: window,
  max_trigger_rate: triggers,
  max_label_flip_rate: flips,
}: GuardLimits): string {
  const limits = [
    triggers === undefined ? [] : [`trigger rate over ${percent(triggers, 0)}`],
    flips === undefined ? [] : [`label flips over ${percent(flips, 0)}`],
  ].flat();
  return `Rolls back by itself: ${limits.join(", or ")} within ${window} s.`;
}

function seenRows({ samples, trigger_rate: triggers, checked, label_flip_rate: flips }: GuardFigures) {
  return [
    ["Trigger rate in the window", percent(triggers), `${count(samples)} samples`],
    ["Label flips in the window", percent(flips), `${count(checked)} checked`],
  ] as const;
}

/** One of a few words; choosing another one asks first, so the old one stays marked until the server has changed. */
function choice<T extends string>(
  legend: string,
  options: readonly T[],
  chosen: T,
  onChoose: (option: T) => void,
): HTMLElement {
  const name = freshId("choice");
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", {}, legend),
    h(
      "div",
      { class: "segments" },
      ...options.map((option) => {
        const id = freshId(name);
        const radio = h("input", { type: "radio", name, id, value: option, checked: option === chosen });
        radio.addEventListener("click", (event) => {
          event.preventDefault();
          if (option !== chosen) onChoose(option);
        });
        return h("span", {}, radio, h("label", { for: id }, option));
      }),
    ),
  );
}
