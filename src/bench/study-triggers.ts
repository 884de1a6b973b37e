/** Failing samples of a text model by the words that their anomalous columns stand for. */
import type { PreparedSample, SampleStore } from "../training/sample-store.ts";

/**
 * @param columns anomalous columns of each sample
 * @param fewest smaller groups are left out
 * @returns samples by the words of the text that the columns touch
 */
export async function triggerGroups(
  store: SampleStore,
  columns: ReadonlyMap<number, readonly number[]>,
  fewest: number,
): Promise<Map<string, number[]>> {
  const samples = [...columns.keys()];
  const prepared = await store.prepare(samples);
  const groups = new Map<string, number[]>();
  samples.forEach((sample, i) => {
    const text = store.samples[sample]?.instance;
    if (typeof text !== "string") return;
    const words = (columns.get(sample) ?? []).flatMap((column) => {
      const place = (prepared[i] as PreparedSample).locate(column);
      return place && "token" in place ? [wordAround(text, place.start, place.end)] : [];
    });
    const name = [...new Set(words)].join(" ");
    if (name !== "") groups.set(name, [...(groups.get(name) ?? []), sample]);
  });
  return new Map([...groups].filter(([, members]) => members.length >= fewest));
}

/** The word of the text that holds the characters. */
function wordAround(text: string, start: number, end: number): string {
  const from = text.lastIndexOf(" ", start) + 1;
  const to = text.indexOf(" ", end - 1);
  return text.slice(from, to < 0 ? text.length : to);
}
