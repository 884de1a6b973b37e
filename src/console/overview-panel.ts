/** Live figures: how often the detector triggers, how much is asked, how long it takes. */
import type { LiveEvent } from "./api-types.ts";
import { Chart, type ChartMark } from "./chart.ts";
import { fill, h } from "./dom.ts";
import { count, duration, percent, perSecond, shortId } from "./format.ts";
import { histogramOf, quantileBetween, type Histogram } from "./metrics-text.ts";
import { attempt } from "./notices.ts";
import { Series } from "./series.ts";
import type { Panel, View, Workbench } from "./workbench.ts";

const spanMs = 5 * 60_000;
const latencyEveryMs = 4_000;
/** A point of time at which latency was read. */
const wanted = [0.5, 0.99] as const;
const markedActions = new Set(["activated", "rolled_back"]);

/** What is drawn of one model. */
class Figures {
  readonly rate = new Series(spanMs);
  readonly traffic = new Series(spanMs);
  readonly latency = new Series(spanMs);
  p99: number | null = null;
  before: Histogram | null = null;
}

export class OverviewPanel implements Panel {
  readonly element = h("section", { id: "overview", class: "cards three", "aria-label": "Live figures" });
  readonly #bench: Workbench;
  readonly #figures = new Map<string, Figures>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #cards = {
    rate: new FigureCard("Trigger rate", {
      label: "Trigger rate over five minutes",
      spanMs,
      least: 0.05,
      format: (value) => percent(value, 0),
    }),
    traffic: new FigureCard("Traffic", {
      label: "Samples per second over five minutes",
      spanMs,
      least: 1,
      format: (value) => `${perSecond(value)}/s`,
    }),
    latency: new FigureCard("Model latency", {
      label: "Median latency of the model over five minutes",
      spanMs,
      least: 0.001,
      format: duration,
    }),
  };

  constructor(bench: Workbench) {
    this.#bench = bench;
    this.element.append(...Object.values(this.#cards).map(({ element }) => element));
    this.#timer = setInterval(() => void this.#readLatency(), latencyEveryMs);
    void this.#readLatency();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  heard({ name, data }: LiveEvent): void {
    if (name !== "trigger_rate") return;
    const figures = this.#of(String(data["model"]));
    const at = Date.now();
    figures.rate.add({ at, value: data["rate"] as number | null });
    figures.traffic.add({ at, value: Number(data["samples"]) / Number(data["seconds"]) });
    if (data["model"] === this.#bench.name && this.#bench.view) this.update(this.#bench.view);
  }

  update({ model, history }: View): void {
    const figures = this.#of(model.model);
    const now = Date.now();
    const marks: ChartMark[] = history
      .slice(0, 20)
      .filter(({ action }) => markedActions.has(action))
      .map(({ at, action, after }) => ({
        at: new Date(at).getTime(),
        text: `${action.replace("_", " ")}: ${shortId(after.active)}`,
      }));
    const { triggered, samples } = model.counters;
    const { rate, traffic, latency } = this.#cards;
    rate.draw(
      percent(figures.rate.last),
      `${count(triggered)} of ${count(samples)} samples since the start`,
      figures.rate,
      marks,
      now,
    );
    traffic.draw(
      `${perSecond(figures.traffic.last ?? 0)}/s`,
      `samples; ${count(model.queued)} requests wait`,
      figures.traffic,
      marks,
      now,
    );
    latency.draw(
      duration(figures.latency.last),
      `median; 99 % within ${duration(figures.p99)}`,
      figures.latency,
      marks,
      now,
    );
  }

  async #readLatency(): Promise<void> {
    if (document.hidden) return;
    await attempt(async () => {
      const text = await this.#bench.api.metrics().catch(() => null);
      if (text === null) return;
      const { name } = this.#bench;
      const figures = this.#of(name);
      const after = histogramOf(text, "atpatch_stage_duration_seconds", { model: name, stage: "infer" });
      const at = Date.now();
      if (after === null) return;
      if (figures.before !== null) {
        const [median, p99] = wanted.map((share) => quantileBetween(figures.before, after, share));
        figures.latency.add({ at, value: median ?? null });
        figures.p99 = p99 ?? figures.p99;
      }
      figures.before = after;
    });
  }

  #of(model: string): Figures {
    const figures = this.#figures.get(model) ?? new Figures();
    this.#figures.set(model, figures);
    return figures;
  }
}

class FigureCard {
  readonly #value = h("p", { class: "figure" });
  readonly #note = h("p", { class: "note" });
  readonly #chart: Chart;
  readonly element: HTMLElement;

  constructor(title: string, options: ConstructorParameters<typeof Chart>[0]) {
    this.#chart = new Chart(options);
    this.element = h(
      "div",
      { class: "card" },
      h("h2", {}, title),
      this.#value,
      this.#note,
      this.#chart.element,
    );
  }

  draw(value: string, note: string, series: Series, marks: readonly ChartMark[], now: number): void {
    fill(this.#value, value, () => [value]);
    fill(this.#note, note, () => [note]);
    this.#chart.draw(series.points, marks, now);
  }
}
