/** Repairs: start one from what was marked or from a file, follow it, and put its detector to use. */
import type { RepairJob } from "./api-types.ts";
import { activate, shadow } from "./changes.ts";
import { bar } from "./attention-view.ts";
import { button, definitions, field, fill, h } from "./dom.ts";
import { ago, shortId } from "./format.ts";
import { tell } from "./notices.ts";
import { goldenLines } from "./report.ts";
import { fractionOf, stages, stageIndex } from "./repair-stages.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

const shownJobs = 5;

export class RepairPanel implements Panel {
  readonly element: HTMLElement;
  readonly #bench: Workbench;
  readonly #jobs = h("ul", { class: "jobs" });
  readonly #source = h("p", { class: "note" });
  readonly #file = h("input", { type: "file", accept: ".jsonl,.gz,application/gzip" });
  readonly #rate = h("input", { type: "number", min: 0.1, max: 50, step: "any", value: 2 });
  readonly #altered = h("input", { type: "number", min: 0, max: 100, step: "any", value: 0.5 });
  readonly #seed = h("input", { type: "number", min: 0, step: 1, value: 0 });
  readonly #partial = h("input", { type: "checkbox", id: "accept-partial" });
  readonly #start = h("button", { type: "submit", class: "button primary" }, "Start the repair");

  constructor(bench: Workbench) {
    this.#bench = bench;
    const form = h(
      "form",
      {},
      this.#source,
      field("Debug set from a file, instead", this.#file, "JSON Lines, may be gzip"),
      h(
        "details",
        {},
        h("summary", {}, "Options"),
        h(
          "div",
          { class: "row" },
          field("Clean requests flagged, % at most", this.#rate),
          field("Clean answers changed, % at most", this.#altered),
          field("Seed", this.#seed),
        ),
        h(
          "div",
          { class: "check" },
          this.#partial,
          h(
            "label",
            { for: "accept-partial" },
            "Accept a detector that explains only a part of the failures",
          ),
        ),
      ),
      h("div", { class: "buttons" }, this.#start),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#begin();
    });
    this.element = h(
      "section",
      { id: "repair", class: "card", "aria-labelledby": "repair-title" },
      h("header", {}, h("h2", { id: "repair-title" }, "Repair")),
      form,
      this.#jobs,
    );
  }

  update({ repairs, feedback, model }: View): void {
    const { failing, clean } = feedback.debug_set;
    fill(this.#source, [failing, clean], () => [
      `From the recorder: ${failing} failing and ${clean} clean samples; what is neither marked nor triggered counts as clean. 50 failing and 600 clean are plenty, 20 and 200 often do.`,
    ]);
    this.#start.disabled = repairs.some(({ state }) => state === "running");
    const shown = repairs.slice(0, shownJobs);
    fill(this.#jobs, [shown, model.active, model.policy.shadow], () =>
      shown.map((job) => this.#job(job, model.active, model.policy.shadow)),
    );
  }

  #job(job: RepairJob, active: string | null, shadowed: string | null): HTMLElement {
    const { id, state, samples, started_at: startedAt, by, detector, error, report } = job;
    const words = {
      running: "Running",
      done: "Done",
      failed: "No detector",
      cancelled: "Cancelled",
    } as const;
    const badge = { running: "shadow", done: "active", failed: "failing", cancelled: "previous" } as const;
    return h(
      "li",
      { class: "job", "data-state": state },
      h(
        "div",
        { class: "detector-head" },
        h("span", { class: `badge ${badge[state]}` }, words[state]),
        detector !== null && h("code", { title: detector }, shortId(detector)),
        h(
          "span",
          { class: "note" },
          `${samples.failing} failing, ${samples.clean} clean; by ${by}, ${ago(startedAt, Date.now())}`,
        ),
      ),
      state === "running" && progress(job),
      error !== null && h("p", { class: "why" }, error.error),
      state === "done" && definitions(goldenLines(report).map(({ name, value }) => [name, value] as const)),
      h(
        "div",
        { class: "buttons" },
        state === "running" && button("Cancel", () => void this.#cancel(id), "quiet"),
        detector !== null &&
          detector !== active &&
          detector !== shadowed &&
          button("Shadow it", () => void shadow(this.#bench, detector), "plain"),
        detector !== null &&
          detector !== active &&
          button("Activate it", () => void activate(this.#bench, detector), "primary"),
      ),
    );
  }

  async #begin(): Promise<void> {
    const { api, name } = this.#bench;
    const file = this.#file.files?.[0] ?? null;
    const options = {
      seed: this.#seed.value || "0",
      false_flag_rate: String(Number(this.#rate.value) / 100),
      max_altered: String(Number(this.#altered.value) / 100),
      accept_partial: String(this.#partial.checked),
    };
    this.#start.disabled = true;
    const worked = await this.#bench.act(async () => {
      await api.startRepair(name, options, file);
    });
    if (!worked) return;
    this.#file.value = "";
    tell("The repair has begun. Serving goes on meanwhile.");
  }

  async #cancel(id: string): Promise<void> {
    const { api, name } = this.#bench;
    if (await this.#bench.act(() => api.cancelRepair(name, id))) tell("The repair is cancelled.", "warn");
  }
}

function progress({ progress: { stage, done, all } }: RepairJob): HTMLElement {
  const at = stageIndex(stage);
  const now = all > 0 ? `${stage}: ${done} of ${all}` : stage;
  return h(
    "div",
    { class: "progress" },
    h(
      "div",
      {
        role: "progressbar",
        "aria-label": "Repair",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": Math.round(100 * fractionOf(stage, done, all)),
        "aria-valuetext": now,
      },
      bar(fractionOf(stage, done, all)),
    ),
    h(
      "ol",
      { class: "stages" },
      ...stages.map((name, i) => h("li", { class: i < at ? "past" : i === at ? "present" : "" }, name)),
    ),
    h("p", { class: "note" }, now),
  );
}
