/** What the page knows of the chosen model, kept up to date by the server's events. */
import type { Api } from "./api.ts";
import type {
  DetectorDescription,
  FeedbackList,
  HistoryEntry,
  LiveEvent,
  ModelState,
  RepairJob,
  TryOut,
} from "./api-types.ts";
import { browserDigest, verifyChain, type ChainState } from "./chain.ts";
import { attempt } from "./notices.ts";

/** Everything the panels draw. */
export interface View {
  readonly model: ModelState;
  /** The newest first. */
  readonly detectors: readonly DetectorDescription[];
  /** The newest first. */
  readonly history: readonly HistoryEntry[];
  readonly chain: ChainState;
  readonly feedback: FeedbackList;
  /** The newest first. */
  readonly repairs: readonly RepairJob[];
  readonly tryOut: TryOut;
}

/** Draws one part of the page. */
export interface Panel {
  readonly element: HTMLElement;
  update(view: View): void;
}

const settleMs = 150;

export class Workbench {
  readonly api: Api;
  readonly #draw: (view: View) => void;
  readonly #descriptions = new Map<string, DetectorDescription>();
  readonly #tryOuts = new Map<string, TryOut>();
  readonly #histories = new Map<string, Pick<View, "history" | "chain">>();
  #name: string;
  #view: View | null = null;
  #isDue = false;

  /** @param draw called with what has changed */
  constructor(api: Api, name: string, draw: (view: View) => void) {
    this.api = api;
    this.#name = name;
    this.#draw = draw;
  }

  /** Name of the chosen model. */
  get name(): string {
    return this.#name;
  }

  /** Null until the first answer. */
  get view(): View | null {
    return this.#view;
  }

  async choose(name: string): Promise<void> {
    this.#name = name;
    await this.refresh();
  }

  /** Reads everything again. */
  async refresh(): Promise<void> {
    const { api, name } = this;
    const [model, detectors, history, feedback, repairs, tryOut] = await Promise.all([
      api.model(name),
      this.#detectors(name),
      this.#history(name),
      api.feedback(name),
      api.repairs(name),
      this.#tryOut(name),
    ]);
    // Somebody may have chosen another model meanwhile.
    if (name !== this.name) return;
    this.#view = { model, detectors, ...history, feedback, repairs, tryOut };
    this.#draw(this.#view);
  }

  /** Reads what changes with the traffic. */
  async touch(): Promise<void> {
    const { api, name } = this;
    const [model, feedback] = await Promise.all([api.model(name), api.feedback(name)]);
    if (name !== this.name || this.#view === null) return;
    this.#view = { ...this.#view, model, feedback };
    this.#draw(this.#view);
  }

  /** Does something that a person asked for, then reads everything again. @returns whether it worked */
  async act(work: () => Promise<void>): Promise<boolean> {
    const worked = await attempt(work);
    await attempt(() => this.refresh());
    return worked;
  }

  /** Takes an event into account; several at once are read once. */
  heard({ name, data }: LiveEvent): void {
    if (name === "repair") this.#progressed(data);
    if (data["model"] !== undefined && data["model"] !== this.name) return;
    if (name === "trigger_rate") {
      if (Number(data["samples"]) > 0 && !document.hidden) void this.touch().catch(() => {});
      return;
    }
    if (name === "repair" && data["state"] === "running" && data["stage"] !== "starting") return;
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      void attempt(() => this.refresh());
    }, settleMs);
  }

  #progressed(data: LiveEvent["data"]): void {
    if (this.#view === null) return;
    const repairs = this.#view.repairs.map((job) =>
      job.id === data["repair"] && job.state === "running"
        ? { ...job, progress: data as unknown as RepairJob["progress"] }
        : job,
    );
    this.#view = { ...this.#view, repairs };
    this.#draw(this.#view);
  }

  async #detectors(name: string): Promise<DetectorDescription[]> {
    const detectors = await this.api.detectors(name);
    const described = await Promise.all(
      detectors.map(async (detector) => {
        const key = `${name}/${detector.id}`;
        const known = this.#descriptions.get(key) ?? (await this.api.detector(name, detector.id));
        this.#descriptions.set(key, known);
        return { ...known, ...detector };
      }),
    );
    return described.reverse();
  }

  /** Reads and verifies only what has been added. */
  async #history(name: string): Promise<Pick<View, "history" | "chain">> {
    const known = this.#histories.get(name);
    const entries = await this.api.history(name, known?.history.toReversed() ?? []);
    if (known?.history.length === entries.length) return known;
    const read = { history: entries.toReversed(), chain: await verifyChain(entries, browserDigest()) };
    this.#histories.set(name, read);
    return read;
  }

  async #tryOut(name: string): Promise<TryOut> {
    const known = this.#tryOuts.get(name) ?? (await this.api.tryOut(name));
    this.#tryOuts.set(name, known);
    return known;
  }
}
