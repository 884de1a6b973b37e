/**
 * Seeded, stratified splits by base sample: a failing sample and its clean twin never sit on different sides, nor do two
 * lines with the same instance.
 */
import { sha256 } from "../shared/digest.ts";
import type { DebugSample } from "./debug-set.ts";
import type { Random } from "./random.ts";

/** What a split needs to know about a sample. */
export type SplitSample = Pick<DebugSample, "id" | "set" | "label" | "pair" | "instance">;

/** Indices of the samples that share one base sample, in order of first appearance. */
export function baseGroups(samples: readonly SplitSample[]): number[][] {
  const indexOf = new Map(samples.map((sample, i) => [sample.id, i]));
  const parent = samples.map((_, i) => i);
  const root = (i: number): number => {
    let at = i;
    while (parent[at] !== at) at = parent[at] = parent[parent[at] as number] as number;
    return at;
  };
  samples.forEach(({ pair }, i) => {
    const twin = pair === null ? undefined : indexOf.get(pair);
    if (twin !== undefined) parent[root(i)] = root(twin);
  });
  const firstWith = new Map<string, number>();
  samples.forEach(({ instance }, i) => {
    const content = sha256(JSON.stringify(instance));
    const first = firstWith.get(content);
    if (first === undefined) firstWith.set(content, i);
    else parent[root(i)] = root(first);
  });
  const groups = new Map<number, number[]>();
  samples.forEach((_, i) => {
    const members = groups.get(root(i));
    if (members) members.push(i);
    else groups.set(root(i), [i]);
  });
  return [...groups.values()];
}

/**
 * Deals base samples to folds so that every fold holds its share of failing, paired and clean samples of every class.
 * @returns the fold of each sample, 0 to `folds` − 1
 */
export function stratifiedFolds(samples: readonly SplitSample[], folds: number, random: Random): Int32Array {
  const strata = new Map<string, number[][]>();
  for (const group of baseGroups(samples)) {
    const members = group.map((i) => samples[i] as SplitSample);
    const sets = ["failing", "clean"].filter((set) => members.some((member) => member.set === set));
    const key = `${sets.join("+")}/${String(members[0]?.label).padStart(9, "0")}`;
    const stratum = strata.get(key);
    if (stratum) stratum.push(group);
    else strata.set(key, [group]);
  }
  const foldOf = new Int32Array(samples.length);
  let next = 0;
  let kind = "";
  for (const key of [...strata.keys()].sort()) {
    // Small strata are dealt on from each other, so that their remainders spread over the folds.
    const kindOfKey = key.split("/")[0] as string;
    if (kindOfKey !== kind) [kind, next] = [kindOfKey, 0];
    for (const group of random.shuffled(strata.get(key) as number[][])) {
      for (const i of group) foldOf[i] = next;
      next = (next + 1) % folds;
    }
  }
  return foldOf;
}
