/** What the user sent, cut into the parts that key positions stand for. */
import type { Task } from "../tasks/task.ts";
import type { PreparedSample } from "../training/sample-store.ts";
import type { SampleContent, TextPiece } from "./data.ts";
import { pictureOf } from "./picture.ts";

/** Tokens that are shown of a text. */
const mostPieces = 160;

/** @param keys number of key positions of the sample */
export async function sampleContent(
  task: Task,
  instance: unknown,
  prepared: PreparedSample,
  keys: number,
): Promise<SampleContent> {
  const { layout } = task;
  if (layout.kind === "grid") {
    const { firstKey, rows, columns } = layout;
    const source = await pictureOf(Object.values(prepared.inputs)[0]);
    return { kind: "picture", source, first_key: firstKey, rows, columns };
  }
  if (layout.kind === "features") {
    const { names, firstKey } = layout;
    const features = names.map((name, i) => ({ name, key: firstKey + i, value: valueOf(instance, name, i) }));
    return { kind: "row", features };
  }
  if (typeof instance !== "string") return { kind: "other" };
  const pieces = textPieces(instance, prepared, keys);
  return { kind: "text", pieces: pieces.slice(0, mostPieces), cut: pieces.length > mostPieces };
}

function textPieces(text: string, prepared: PreparedSample, keys: number): TextPiece[] {
  const characters = [...text];
  const pieces: TextPiece[] = [];
  let end = 0;
  for (let key = 0; key < keys; key++) {
    const place = prepared.locate(key);
    if (place === null || !("token" in place) || place.start < end) continue;
    const cut = (from: number, to: number): string => characters.slice(from, to).join("");
    pieces.push({ space: cut(end, place.start), text: cut(place.start, place.end), key });
    end = place.end;
  }
  return pieces;
}

function valueOf(instance: unknown, name: string, index: number): string {
  const value: unknown = Array.isArray(instance)
    ? instance[index]
    : (instance as Readonly<Record<string, unknown>> | null)?.[name];
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

/** A line that reminds of the sample. */
export function excerptOf(instance: unknown): string {
  const most = 140;
  const isPicture = typeof instance === "object" && instance !== null && "b64" in instance;
  const text = typeof instance === "string" ? instance : isPicture ? "" : JSON.stringify(instance);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
