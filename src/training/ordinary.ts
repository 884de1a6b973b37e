/** How much repair there is to ask for. */
import type { TrainingData } from "./training-data.ts";

/**
 * Number of failing samples that would leave their wrong answer if they were like clean ones. Some clean samples of other
 * classes get that answer without a trigger too; a detector that turns as many failing ones over has not repaired them, it
 * pushes predictions about.
 */
export function ordinarilyRepaired({
  failing,
  clean,
  answers,
  samples,
}: Pick<TrainingData, "failing" | "clean" | "answers" | "samples">): number {
  const share = (answer: number | undefined): number => {
    const others = clean.filter((sample) => samples[sample]?.label !== answer);
    return others.filter((sample) => answers[sample] === answer).length / Math.max(1, others.length);
  };
  const shares = new Map([...new Set(failing.map((sample) => answers[sample]))].map((of) => [of, share(of)]));
  return failing.reduce((sum, sample) => sum + 1 - (shares.get(answers[sample]) ?? 0), 0);
}
