/** Fairness of a table classifier, without and with the patch, beside what can be had without touching the model. */
import type { Mode } from "../shared/patched-model.ts";
import type { ProtectedAttribute } from "../tasks/task.ts";
import type { DebugSample } from "./debug-set.ts";
import { groupFairness, type Decision, type GroupFairness } from "./fairness.ts";
import { ModelRuns, predicted } from "./model-runs.ts";
import { equalOpportunityThresholds, grant, type GroupThresholds } from "./group-thresholds.ts";
import { Random } from "./random.ts";
import { SampleStore } from "./sample-store.ts";
import { rateOf, type Rate } from "./wilson.ts";

/** One way to answer, judged by one protected attribute. */
export interface AttributeFairness extends GroupFairness {
  /** Individual discrimination: share of people whose answer changes with the attribute's value alone. */
  readonly idr: Rate | null;
}

export interface TableFairness {
  readonly attribute: string;
  /** Label that is good for the person concerned. */
  readonly favourable: string;
  readonly n: number;
  readonly unpatched: AttributeFairness;
  readonly patched: AttributeFairness;
  /** Patched against unpatched: share by which AAOD fell (negative: rose), and accuracy gained, both null when undefined. */
  readonly aaod_reduction: number | null;
  readonly accuracy_change: number | null;
  readonly baselines: readonly {
    readonly name: string;
    readonly passes: number;
    readonly figures: AttributeFairness;
  }[];
}

export interface TableFairnessOptions {
  readonly attributes: readonly ProtectedAttribute[];
  /** Index of the favourable label. */
  readonly favourable: number;
  readonly detector: string | null;
  readonly baselines: boolean;
  readonly progress?: (done: number, all: number) => void;
}

/** Logits of every person for every value of the attribute. */
interface Answers {
  readonly own: readonly Float32Array[];
  readonly byValue: readonly (readonly Float32Array[])[];
}

/** @param runs over the test set, whose clean samples are judged */
export async function tableFairness(
  runs: ModelRuns,
  options: TableFairnessOptions,
): Promise<TableFairness[]> {
  const people = runs.store.samples.filter(({ set }) => set === "clean");
  const results: TableFairness[] = [];
  for (const attribute of options.attributes)
    results.push(await judgeAttribute(runs, people, attribute, options));
  return results;
}

async function judgeAttribute(
  runs: ModelRuns,
  people: readonly DebugSample[],
  attribute: ProtectedAttribute,
  options: TableFairnessOptions,
): Promise<TableFairness> {
  const { favourable, detector, progress } = options;
  const all = 2 * people.length * (attribute.values.length + 1);
  let done = 0;
  const answer = async (samples: readonly DebugSample[], mode: Mode): Promise<Float32Array[]> => {
    const own = new ModelRuns(runs.engine, runs.task, new SampleStore(runs.task, samples));
    const asks = samples.map((_, sample) => ({ sample, mode }));
    const answers = await own.answers(asks, { detector, progress: (n) => progress?.(done + n, all) });
    done += samples.length;
    return answers.map(({ logits }) => logits);
  };
  const answers = async (mode: Mode): Promise<Answers> => {
    const byValue: Float32Array[][] = [];
    for (const value of attribute.values) {
      const changed = people.map((person) => ({
        ...person,
        instance: attribute.withValue(person.instance, value),
      }));
      byValue.push(await answer(changed, mode));
    }
    return { own: await answer(people, mode), byValue };
  };
  const groups = people.map(({ instance }) => attribute.isPrivileged(instance));
  const judged = (granted: readonly boolean[], idr: Rate | null): AttributeFairness => ({
    ...groupFairness(
      people.map(({ label }, i): Decision => ({
        privileged: groups[i]!,
        deserved: label === favourable,
        granted: granted[i]!,
      })),
      new Random(0, `fairness/${attribute.name}`),
    ),
    idr,
  });
  const plainly = ({ own, byValue }: Answers): AttributeFairness =>
    judged(
      own.map((logits) => predicted(logits) === favourable),
      byValue.length < 2
        ? null
        : rateOf(
            people.map((_, i) => i),
            (i) => new Set(byValue.map((rows) => predicted(rows[i]!))).size > 1,
          ),
    );

  const off = await answers("off");
  const on = await answers("enforce");
  const [unpatched, patched] = [plainly(off), plainly(on)];
  const change = (of: "aaod" | "accuracy"): number | null =>
    unpatched[of].value === null || patched[of].value === null
      ? null
      : patched[of].value - unpatched[of].value;
  const aaodChange = change("aaod");
  return {
    attribute: attribute.name,
    favourable: runs.task.labels[favourable] ?? String(favourable),
    n: people.length,
    unpatched,
    patched,
    aaod_reduction: aaodChange === null || !unpatched.aaod.value ? null : -aaodChange / unpatched.aaod.value,
    accuracy_change: change("accuracy"),
    baselines:
      options.baselines && attribute.values.length > 1
        ? baselines(attribute, people, off, favourable, judged)
        : [],
  };
}

/** What can be done to the answers of the unpatched model from outside. */
function baselines(
  attribute: ProtectedAttribute,
  people: readonly DebugSample[],
  { own, byValue }: Answers,
  favourable: number,
  judged: (granted: readonly boolean[], idr: Rate | null) => AttributeFairness,
): TableFairness["baselines"] {
  const granted = (logits: Float32Array): boolean => predicted(logits) === favourable;
  const nobody = rateOf(people, () => false);
  const constants = attribute.values.map((value, v) => ({
    name: `everybody as ${attribute.name} = ${value}`,
    passes: 1,
    figures: judged(byValue[v]!.map(granted), nobody),
  }));
  // With many values the first privileged one and the first other one say enough.
  const shown = [true, false].flatMap((privileged) => {
    const at = attribute.values.findIndex(
      (value) => attribute.isPrivileged(attribute.withValue(people[0]?.instance, value)) === privileged,
    );
    return at < 0 ? [] : [constants[at]!];
  });
  const averaged = people.map((_, i) => {
    const mean = byValue.reduce((sum, rows) => sum + scoreOf(rows[i]!, favourable), 0) / byValue.length;
    return mean > 0.5;
  });
  const isPrivileged = people.map(({ instance }) => attribute.isPrivileged(instance));
  const scores = own.map((logits) => scoreOf(logits, favourable));
  const deserved = people.map(({ label }) => label === favourable);
  // Thresholds are fitted on one half and judged on the other, both ways.
  const half = (i: number): number => i % 2;
  const fitted: GroupThresholds[] = [0, 1].map((fold) => {
    const others = people.flatMap((_, i) => (half(i) === fold ? [] : [i]));
    return equalOpportunityThresholds(
      others.map((i) => ({ score: scores[i]!, privileged: isPrivileged[i]!, deserved: deserved[i]! })),
    );
  });
  const byGroup = scores.map((score, i) => grant(score, isPrivileged[i]!, fitted[half(i)]!));
  const flips = rateOf(
    people.map((_, i) => i),
    (i) => {
      const { instance } = people[i]!;
      const answers = attribute.values.map((value, v) =>
        grant(
          scoreOf(byValue[v]![i]!, favourable),
          attribute.isPrivileged(attribute.withValue(instance, value)),
          fitted[half(i)]!,
        ),
      );
      return new Set(answers).size > 1;
    },
  );
  return [
    ...shown,
    { name: "average over the values", passes: attribute.values.length, figures: judged(averaged, nobody) },
    { name: "a threshold per group", passes: 1, figures: judged(byGroup, flips) },
  ];
}

/** Softmax probability of a class. */
function scoreOf(logits: Float32Array, label: number): number {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
  return Math.exp((logits[label] ?? -Infinity) - most) / sum;
}
