/** What else could have been done about the failing samples, on the same test set in the same run. */
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { tensor } from "../shared/tensor.ts";
import type { ColumnPlace } from "../tasks/task.ts";
import { columnThreshold, gateRank, gateThresholds } from "./calibrate.ts";
import { judgedScores, scoreFitted } from "./candidate.ts";
import { collect } from "./collect.ts";
import { conformalSite } from "./conformal.ts";
import type { DebugSample } from "./debug-set.ts";
import { flaggedOver } from "./flags.ts";
import type { Judged } from "./judged.ts";
import { searchable } from "./localize.ts";
import { ModelRuns, predicted } from "./model-runs.ts";
import { Random } from "./random.ts";
import { SampleStore, type PreparedSample } from "./sample-store.ts";
import type { SampleScores, TrainingData } from "./training-data.ts";
import { rateOf, type Rate } from "./wilson.ts";

/** The figures of one alternative; `why` instead where it does not apply. */
export interface Baseline {
  readonly name: string;
  readonly figures: BaselineFigures | null;
  readonly why: string | null;
}

export interface BaselineFigures {
  readonly attack_success: Rate;
  readonly robust_accuracy: Rate;
  readonly clean_accuracy: Rate;
  readonly altered: Rate;
}

export interface BaselineOptions {
  /** Tensors of the judged detector, whose benign reference the alternatives repair with; null without one. */
  readonly tensors: DetectorTensors | null;
  readonly target: number | null;
  readonly seed: number;
  /** Share of clean requests that the conformal detector may flag. */
  readonly falseFlagRate: number;
  readonly progress?: (what: string) => void;
}

/** Columns to repair in one sample. */
type Repair = readonly number[];

const needsReference = "there is no detector whose benign reference it could repair with";

/** Alternatives that need no gradient, each judged like the detector itself. */
export async function attackBaselines(
  runs: ModelRuns,
  judged: readonly Judged[],
  options: BaselineOptions,
): Promise<Baseline[]> {
  const { tensors, progress = () => {} } = options;
  const failing = judged.filter(({ set }) => set === "failing");
  if (failing.length === 0) return [];
  const figures = (answers: readonly number[], of: readonly Judged[] = judged): BaselineFigures =>
    figuresOf(of, answers, options.target);
  const list: Baseline[] = [
    { name: "nothing", figures: figures(judged.map(({ unpatched }) => unpatched)), why: null },
  ];
  const add = async (
    name: string,
    why: string | null,
    make: () => Promise<BaselineFigures>,
  ): Promise<void> => {
    if (why === null) progress(name);
    list.push({ name, figures: why === null ? await make() : null, why });
  };

  const repairs = tensors && new ReferenceRepairs(runs, tensors);
  const columnsOf = (sample: number): Repair => runs.store.samples[sample]?.columns ?? [];
  const known = failing.some(({ sample }) => columnsOf(sample).length > 0);
  const noneKnown = "the test set does not name the anomalous columns";
  await add("true columns repaired", tensors === null ? needsReference : known ? null : noneKnown, async () =>
    figures(
      await repairs!.answers(judged, ({ sample, set }) => (set === "failing" ? columnsOf(sample) : [])),
    ),
  );
  await add("as many random columns repaired", tensors === null ? needsReference : null, async () =>
    figures(await repairs!.answers(judged, await randomColumns(runs, judged, columnsOf, options.seed))),
  );
  await add(
    "detector without failing samples (conformal)",
    tensors === null ? needsReference : null,
    async () => {
      const { of, columns } = await conformalColumns(runs, judged, options);
      return figures(await repairs!.answers(of, ({ sample }) => columns.get(sample) ?? []), of);
    },
  );
  const flagged = judged.some(({ columns }) => columns.length > 0);
  const noErasing =
    runs.task.erase === undefined
      ? "a part of such an instance cannot be left out"
      : flagged
        ? null
        : "nothing was flagged";
  const name =
    runs.task.kind === "image-classification"
      ? "flagged patches blacked out"
      : "flagged part of the input deleted";
  await add(name, noErasing, async () => figures(await erasedAnswers(runs, judged)));
  await repairs?.retire();
  return list;
}

function figuresOf(
  judged: readonly Judged[],
  answers: readonly number[],
  target: number | null,
): BaselineFigures {
  const all = judged.map(({ set, label, unpatched }, i) => ({ set, label, unpatched, answer: answers[i] }));
  const failing = all.filter(({ set }) => set === "failing");
  const clean = all.filter(({ set }) => set === "clean");
  return {
    attack_success: rateOf(failing, ({ answer }) => answer === target),
    robust_accuracy: rateOf(failing, ({ answer, label }) => answer === label),
    clean_accuracy: rateOf(clean, ({ answer, label }) => answer === label),
    altered: rateOf(clean, ({ answer, unpatched }) => answer !== unpatched),
  };
}

/** Repairs given columns with the reference of a detector, which itself finds nothing then. */
class ReferenceRepairs {
  readonly #runs: ModelRuns;
  readonly #tensors: DetectorTensors;
  #published = false;
  readonly #id = "reference-of-the-judged";

  constructor(runs: ModelRuns, { forced: _forced, ...tensors }: DetectorTensors) {
    this.#runs = runs;
    const sites = tensors.slot.data.length;
    this.#tensors = { ...tensors, slot: tensor("INT64", [sites], new BigInt64Array(sites).fill(-1n)) };
  }

  async answers(judged: readonly Judged[], columns: (of: Judged) => Repair): Promise<number[]> {
    if (!this.#published) await this.#runs.engine.publish(this.#id, this.#tensors);
    this.#published = true;
    const answers = await this.#runs.answers(
      judged.map((each) => ({ sample: each.sample, mode: "enforce" as const, columns: columns(each) })),
      { detector: this.#id },
    );
    return answers.map(({ logits }) => predicted(logits));
  }

  async retire(): Promise<void> {
    if (this.#published) await this.#runs.engine.retire(this.#id);
  }
}

/** For every sample as many columns as the truth names, or the detector flags, somewhere else; for clean ones too. */
async function randomColumns(
  runs: ModelRuns,
  judged: readonly Judged[],
  columnsOf: (sample: number) => Repair,
  seed: number,
): Promise<(of: Judged) => Repair> {
  const random = new Random(seed, "random columns");
  const counts = judged
    .filter(({ set }) => set === "failing")
    .map(({ sample, columns }) => columnsOf(sample).length || columns.length)
    .sort((a, b) => a - b);
  const usual = Math.max(1, counts[Math.floor(counts.length / 2)] ?? 1);
  const prepared = await runs.store.prepare(judged.map(({ sample }) => sample));
  const chosen = new Map(
    judged.map(({ sample, set, columns }, i) => {
      const anomalous = [...columnsOf(sample), ...columns];
      const wanted = set === "failing" ? columnsOf(sample).length || columns.length || usual : usual;
      const free = searchable(runs.task.layout, prepared[i] as PreparedSample, runs.keysOf(sample)).filter(
        (column) => !anomalous.includes(column),
      );
      return [sample, random.shuffled(free).slice(0, wanted)] as const;
    }),
  );
  return ({ sample }) => chosen.get(sample) ?? [];
}

/** What a conformal detector flags: made from two thirds of the clean samples, judged on the others and the failing ones. */
async function conformalColumns(
  runs: ModelRuns,
  judged: readonly Judged[],
  { seed, falseFlagRate }: BaselineOptions,
): Promise<{ of: Judged[]; columns: ReadonlyMap<number, Repair> }> {
  const { samples } = runs.store;
  const first = runs.engine.description.sites[0]?.index ?? 0;
  const { sites, logits } = await collect(runs, [first]);
  const clean = new Random(seed, "conformal baseline").shuffled(
    judged.filter(({ set }) => set === "clean").map(({ sample }) => sample),
  );
  const [fit, calibration, held] = [0, 1, 2].map((part) => clean.filter((_, i) => i % 3 === part));
  const { layout } = runs.task;
  const data: TrainingData = {
    samples,
    layout,
    sites,
    answers: logits.map(predicted),
    clean,
    failing: [],
    labels: new Map(),
  };
  const fitted = conformalSite(sites[0]!, fit!, layout.kind === "sequence");
  const heldSamples = new Set(held);
  const of = judged.filter(({ set, sample }) => set === "failing" || heldSamples.has(sample));
  const scores = scoreFitted(data, [fitted], [...calibration!, ...of.map(({ sample }) => sample)]);
  const calm = judgedScores(data, first, scores[0] as SampleScores, calibration!);
  const gate = gateThresholds([calm], Math.max(1, gateRank(calibration!.length, falseFlagRate)))[0]!;
  const thresholds = [{ gate, column: Math.min(gate, columnThreshold(calm, 0.99)) }];
  return {
    of,
    columns: new Map(
      of.map(({ sample }) => [sample, flaggedOver(data, [first], thresholds, scores, sample)]),
    ),
  };
}

/** Answers of the unpatched model to the instances without what was flagged. */
async function erasedAnswers(runs: ModelRuns, judged: readonly Judged[]): Promise<number[]> {
  const { task, store } = runs;
  const touched = judged.filter(({ columns }) => columns.length > 0);
  const prepared = await store.prepare(touched.map(({ sample }) => sample));
  const erased: DebugSample[] = [];
  for (const [i, { sample, columns }] of touched.entries()) {
    const places = columns.flatMap((column): ColumnPlace[] => {
      const place = prepared[i]?.locate(column);
      return place ? [place] : [];
    });
    const own = store.samples[sample] as DebugSample;
    erased.push({ ...own, instance: (await task.erase?.(own.instance, places)) ?? own.instance });
  }
  const others = new ModelRuns(runs.engine, task, new SampleStore(task, erased));
  const answers = await others.answers(
    erased.map((_, sample) => ({ sample, mode: "off" as const })),
    { detector: null },
  );
  const changed = new Map(touched.map(({ sample }, i) => [sample, predicted(answers[i]!.logits)]));
  return judged.map(({ sample, unpatched }) => changed.get(sample) ?? unpatched);
}
