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

/** What a debug set out of the recorder holds. */
export interface RecordedSet {
  readonly failing: number;
  readonly clean: number;
  /** Marked samples that are not in the set because their instance was not recorded. */
  readonly withoutInstance: number;
}

interface Chosen {
  readonly sample: RecordedSample;
  readonly set: SampleMark["set"];
  readonly label: number;
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

  /** How many samples the debug set of now holds. */
  debugSetCounts(name: string): RecordedSet {
    const chosen = this.#choose(name);
    const failing = chosen.filter(({ set }) => set === "failing").length;
    return {
      failing,
      clean: chosen.length - failing,
      withoutInstance: this.marked(name).filter(({ instance }) => instance === null).length,
    };
  }

  /** The debug set of now: JSON Lines; empty when nothing can be in it. */
  debugSet(name: string): Buffer {
    const parts = this.#choose(name).flatMap(({ sample: { request, sample, instance }, set, label }) => {
      const id = JSON.stringify(`${request}#${sample}`);
      return [
        Buffer.from(`{"id":${id},"set":"${set}","label":${label},"pair":null,"instance":`),
        instance!,
        Buffer.from("}\n"),
      ];
    });
    return Buffer.concat(parts);
  }

  /**
   * Failing are the samples marked so. Clean are those marked so, and all that are neither marked nor triggered, with the
   * answer for a label: most traffic is fine. No instance is in the set twice, and none that was marked as failing is
   * clean elsewhere.
   */
  #choose(name: string): Chosen[] {
    const samples = this.recorded(name).reverse();
    const marked = (set: SampleMark["set"]): Chosen[] =>
      samples.flatMap((sample) =>
        sample.mark?.set === set ? [{ sample, set, label: sample.mark.label }] : [],
      );
    const unmarked = samples
      .filter(({ mark, triggered }) => mark === null && !triggered)
      .map((sample): Chosen => ({ sample, set: "clean", label: sample.index }));
    const taken = new Set<string>();
    return [...marked("failing"), ...marked("clean"), ...unmarked].filter(({ sample: { digest } }) => {
      if (digest === null || taken.has(digest)) return false;
      taken.add(digest);
      return true;
    });
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
