/** What operators say about recorded answers, and the debug set that follows from it. */
import { AtPatchError } from "../shared/errors.ts";
import type { Task } from "../tasks/task.ts";
import type { EventBus } from "./events.ts";
import type { ModelTable, ServedModel } from "./models.ts";
import type { RecordedSample, SampleMark } from "./recording.ts";

/** What somebody says about one recorded sample. */
export interface FeedbackRequest {
  readonly requestId: string;
  /** Number of the sample in the request; the first when absent. */
  readonly sample?: number | undefined;
  /** True class, by name or index; what was answered when absent, for a clean sample. */
  readonly label?: string | number | undefined;
  /** failing when the label is not the answer, clean when it is, as long as nobody says otherwise. */
  readonly set?: SampleMark["set"] | undefined;
}

/** A debug set out of the recorder; contract: `GET …/debugset`. */
export interface RecordedSet {
  /** One JSON text a line. */
  readonly lines: Buffer;
  readonly failing: number;
  readonly clean: number;
  /** Marked samples that are not in the set because their instance was not recorded. */
  readonly withoutInstance: number;
}

export class FeedbackService {
  readonly #models: ModelTable;
  readonly #events: EventBus;

  constructor(models: ModelTable, events: EventBus) {
    this.#models = models;
    this.#events = events;
  }

  /**
   * Marks a recorded sample; a second mark replaces the first.
   * @throws AtPatchError ATPATCH_UNKNOWN_MODEL, like every method below; ATPATCH_CONFLICT when nothing is recorded;
   *   ATPATCH_NOT_FOUND for a sample that is not kept; ATPATCH_BAD_INPUT naming the field
   */
  mark(name: string, { requestId, sample = 0, label, set }: FeedbackRequest, by: string): RecordedSample {
    const model = this.#models.get(name);
    const found = this.#find(model, requestId, sample);
    const index = label === undefined ? undefined : classOf(model.task, label);
    const kind = set ?? (index === undefined || index === found.index ? "clean" : "failing");
    if (kind === "failing" && index === undefined)
      throw new AtPatchError("ATPATCH_BAD_INPUT", "label: a failing sample needs its true class");
    if (kind === "failing" && index === found.index && !found.triggered) {
      throw new AtPatchError(
        "ATPATCH_BAD_INPUT",
        `label: "${found.label}" is what was answered, so the sample is not failing; give its true class, or mark it as clean`,
      );
    }
    const mark = { set: kind, label: index ?? found.index, by, at: new Date().toISOString() };
    const marked = model.recorder.mark(found, mark);
    this.#events.publish("feedback", { model: name, request_id: requestId, sample, ...mark });
    return marked;
  }

  /** Takes the mark of one sample off. @throws AtPatchError as {@link mark} */
  unmark(name: string, requestId: string, sample: number): void {
    const model = this.#models.get(name);
    model.recorder.mark(this.#find(model, requestId, sample), null);
  }

  /** Takes every mark off; says how many there were. */
  clear(name: string): number {
    const { recorder } = this.#models.get(name);
    const marked = this.marked(name);
    for (const sample of marked) recorder.mark(sample, null);
    return marked.length;
  }

  /** Samples that bear a mark, the newest first. */
  marked(name: string): RecordedSample[] {
    return this.recorded(name).filter(({ mark }) => mark !== null);
  }

  /** What is recorded, the newest first. */
  recorded(name: string): RecordedSample[] {
    return this.#models.get(name).recorder.all();
  }

  /** @throws AtPatchError ATPATCH_CONFLICT, ATPATCH_NOT_FOUND */
  sample(name: string, requestId: string, sample: number): RecordedSample {
    return this.#find(this.#models.get(name), requestId, sample);
  }

  /** Forgets what is recorded, marks included; says how many samples that were. */
  forget(name: string): number {
    const { recorder } = this.#models.get(name);
    const { samples } = recorder.state;
    recorder.forget();
    return samples;
  }

  /**
   * Failing are the samples marked so. Clean are those marked so, and all that are neither marked nor triggered, with the
   * answer for a label: most traffic is fine. No instance is in the set twice, and none that was marked as failing is
   * clean elsewhere.
   */
  debugSet(name: string): RecordedSet {
    const samples = this.recorded(name).reverse();
    const taken = new Set<string>();
    const lines: string[] = [];
    const counts = { failing: 0, clean: 0 };
    const take = (sample: RecordedSample, set: SampleMark["set"], label: number): void => {
      if (sample.instance === null || taken.has(sample.digest!)) return;
      taken.add(sample.digest!);
      const id = JSON.stringify(`${sample.request}#${sample.sample}`);
      const instance = sample.instance.toString();
      lines.push(`{"id":${id},"set":"${set}","label":${label},"pair":null,"instance":${instance}}\n`);
      counts[set] += 1;
    };
    const said = samples.flatMap((sample) => (sample.mark === null ? [] : [{ sample, mark: sample.mark }]));
    for (const { sample, mark } of said) if (mark.set === "failing") take(sample, mark.set, mark.label);
    for (const { sample, mark } of said) if (mark.set === "clean") take(sample, mark.set, mark.label);
    const unmarked = samples.filter(({ mark, triggered }) => mark === null && !triggered);
    for (const sample of unmarked) take(sample, "clean", sample.index);
    return {
      lines: Buffer.from(lines.join("")),
      ...counts,
      withoutInstance: said.filter(({ sample }) => sample.instance === null).length,
    };
  }

  #find({ name, recorder }: ServedModel, requestId: string, sample: number): RecordedSample {
    if (!recorder.records) {
      const what = `nothing of the traffic of "${name}" is recorded: start the server with ATPATCH_RECORD=inputs`;
      throw new AtPatchError("ATPATCH_CONFLICT", what);
    }
    const found = recorder.find(requestId, sample);
    if (found === null) {
      const what = `sample ${sample} of request "${requestId.slice(0, 128)}" is not recorded: it is too old, or it never came here`;
      throw new AtPatchError("ATPATCH_NOT_FOUND", what);
    }
    return found;
  }
}

/** @throws AtPatchError ATPATCH_BAD_INPUT for what is no class of the task */
function classOf({ labels }: Task, label: string | number): number {
  const index = typeof label === "string" ? labels.indexOf(label) : label;
  const isClass = Number.isInteger(index) && index >= 0 && (labels.length === 0 || index < labels.length);
  if (isClass) return index;
  const some = labels
    .slice(0, 5)
    .map((name) => `"${name}"`)
    .join(", ");
  const all = labels.length > 5 ? `${some}, … (${labels.length} in all)` : some;
  throw new AtPatchError(
    "ATPATCH_BAD_INPUT",
    `label: ${JSON.stringify(label).slice(0, 80)} is no class of the model: expected ${all || "an index from 0"}`,
  );
}
