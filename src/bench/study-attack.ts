/** The study of one model with a trigger: every variant with every seed, each measured on the model's test set. */
import { openBatchEngine, withEngine, type OpenedModel } from "../cli/opened-model.ts";
import { openEngine } from "../compose-engine.ts";
import type { Task } from "../tasks/task.ts";
import { collect } from "../training/collect.ts";
import type { DebugSample } from "../training/debug-set.ts";
import { fitToClean } from "../training/fit-detector.ts";
import { gatherData } from "../training/gather.ts";
import { ModelRuns } from "../training/model-runs.ts";
import { Random } from "../training/random.ts";
import { referenceTaps } from "../training/reference.ts";
import { PublishedReferences } from "../training/references.ts";
import { Repairs } from "../training/repairs.ts";
import { SampleStore } from "../training/sample-store.ts";
import type { Form } from "../training/search-detector.ts";
import type { StudyContext } from "./study-context.ts";
import { countsOf } from "./study-counts.ts";
import { studyTriggers } from "./study-cross.ts";
import { judgeDetector, makeDetector, usual, type Made, type Workshop } from "./study-make.ts";
import { instrumentUncarried } from "./study-uncarried.ts";
import { variants, withRing, type Variant } from "./study-variants.ts";
import { studyYardsticks } from "./study-yardsticks.ts";

export async function studyAttack(
  model: OpenedModel,
  task: Task,
  { debug, test }: { readonly debug: readonly DebugSample[]; readonly test: readonly DebugSample[] },
  context: StudyContext,
): Promise<void> {
  await withEngine(await openBatchEngine(model, { taps: referenceTaps }), async (carried) => {
    const alone = await openEngine(instrumentUncarried(model.file), model.directory, {
      workers: 2,
      threads: 1,
      queue: 256,
      deadlineMs: 3_600_000,
      recheck: false,
    });
    await withEngine(alone, async (uncarried) => {
      const runs = new ModelRuns(carried, task, new SampleStore(task, debug));
      const store = new SampleStore(task, test);
      const tests = {
        carried: new ModelRuns(carried, task, store),
        uncarried: new ModelRuns(uncarried, task, store),
      };
      const gathered = await gatherData(runs, () => {});
      const published = new PublishedReferences(carried, gathered);
      const repairs = new Repairs(runs, gathered.data.answers, (kind) => published.id(kind));
      const workshop = { runs, gathered, published, repairs };
      await studyYardsticks(tests.carried, published, context);
      for (const seed of context.seeds) await new SeedStudy(workshop, tests, context, seed).run();
      if (!context.quick && context.wants("triggers")) await studyTriggers(workshop, tests.carried, context);
    });
  });
}

const uncarriedNames = [
  "not carried",
  "every site, not carried",
  "every site, attention features, not carried",
] as const;

/** All variants with one seed. */
class SeedStudy {
  readonly #workshop: Workshop;
  readonly #tests: { readonly carried: ModelRuns; readonly uncarried: ModelRuns };
  readonly #context: StudyContext;
  readonly #seed: number;
  /** What the default has chosen. */
  #form: Form | null = null;

  constructor(
    workshop: Workshop,
    tests: { readonly carried: ModelRuns; readonly uncarried: ModelRuns },
    context: StudyContext,
    seed: number,
  ) {
    this.#workshop = workshop;
    this.#tests = tests;
    this.#context = context;
    this.#seed = seed;
  }

  async run(): Promise<void> {
    const { quick } = this.#context;
    const { data } = this.#workshop.gathered;
    const wanted = variants.filter(
      ({ failing = 0, quick: also }) => failing <= data.failing.length && (also || !quick),
    );
    // The default is made again where others want to know its form, and goes with the uncarried ones.
    const open = wanted.filter(
      (variant) => !this.#has(variant.name) || (variant.name === "default" && this.#wantsDefault(wanted)),
    );
    for (const variant of open) await this.#variant(variant);
    if (!this.#has("conformal")) await this.#conformal();
  }

  #wantsDefault(wanted: readonly Variant[]): boolean {
    const isOpen = wanted.some(({ sameForm, name }) => sameForm === true && !this.#has(name));
    return isOpen || (!this.#context.quick && uncarriedNames.some((name) => !this.#has(name)));
  }

  /** Whether the row is there, or not wanted. */
  #has(variant: string): boolean {
    return !this.#context.wants(variant) || this.#context.has("variant", variant, this.#seed);
  }

  async #variant(variant: Variant): Promise<void> {
    const began = performance.now();
    const { gathered } = this.#workshop;
    const shuffled = new Random(this.#seed, "failing samples").shuffled(gathered.data.failing);
    const data = {
      ...gathered.data,
      failing: shuffled.slice(0, variant.failing ?? shuffled.length).sort((a, b) => a - b),
      labels: withRing(gathered.data.labels, variant.ring),
    };
    const secondSite = variant.firstSiteOnly ? null : gathered.secondSite;
    const made = await makeDetector(this.#workshop, { data, secondSite }, variant, this.#seed, this.#form);
    await this.#record(variant.name, made, this.#tests.carried, began);
    if (variant.name !== "default") return;
    this.#form = made.chosen;
    if (!this.#context.quick) await this.#uncarried(made);
  }

  /** Sites that do not tell each other; last what the abstract of the paper reads like: attention alone, at every site. */
  async #uncarried(made: Made): Promise<void> {
    const [once, everywhere, asInPaper] = uncarriedNames;
    await this.#record(once, made, this.#tests.uncarried, performance.now());
    const { runs, gathered } = this.#workshop;
    const all = runs.engine.description.sites.map(({ index }) => index);
    const kernel = made.chosen?.kernel ?? 1;
    for (const [name, form] of [
      [everywhere, made.chosen],
      [asInPaper, { features: "attention", kernel }],
    ] as const) {
      if (this.#has(name)) continue;
      const began = performance.now();
      const data = { ...gathered.data, sites: (await collect(runs, all)).sites };
      const part = { data, secondSite: null };
      const own = await makeDetector(this.#workshop, part, { name, sameForm: true }, this.#seed, form);
      await this.#record(name, own, this.#tests.uncarried, began);
    }
  }

  async #conformal(): Promise<void> {
    const began = performance.now();
    const { gathered, published, repairs } = this.#workshop;
    const { tensors } = await fitToClean(gathered.data, published, repairs, { ...usual, seed: this.#seed });
    await this.#record(
      "conformal",
      { form: "attention, kernel 1", chosen: null, tensors },
      this.#tests.carried,
      began,
    );
  }

  async #record(variant: string, { form, tensors }: Made, test: ModelRuns, began: number): Promise<void> {
    if (this.#has(variant)) return;
    this.#context.record({
      group: "variant",
      variant,
      seed: this.#seed,
      form,
      test: tensors && countsOf(await judgeDetector(test, tensors)),
      seconds: (performance.now() - began) / 1000,
    });
  }
}
