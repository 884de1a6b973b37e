/** Matthews correlation coefficient of many classes (J. Gorodkin, Comput. Biol. Chem. 28, 2004): 1 all right, 0 chance. */

/** @returns null when truth or answers are all of one class */
export function mcc(pairs: readonly { readonly label: number; readonly answer: number }[]): number | null {
  const labels = new Map<number, number>();
  const answers = new Map<number, number>();
  let right = 0;
  for (const { label, answer } of pairs) {
    labels.set(label, (labels.get(label) ?? 0) + 1);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    right += Number(label === answer);
  }
  const n = pairs.length;
  const squares = (counts: ReadonlyMap<number, number>): number =>
    [...counts.values()].reduce((sum, count) => sum + count * count, 0);
  const together = [...labels].reduce((sum, [label, count]) => sum + count * (answers.get(label) ?? 0), 0);
  const spread = Math.sqrt((n * n - squares(answers)) * (n * n - squares(labels)));
  return spread === 0 ? null : (right * n - together) / spread;
}
