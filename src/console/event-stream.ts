/** Server-sent events out of the text of a stream. Pure. */
import type { LiveEvent } from "./api-types.ts";

/** Collects text and gives the events that are complete. */
export class EventStreamReader {
  #pending = "";
  /** Id of the last event that had one. */
  lastId: string | null = null;

  push(text: string): LiveEvent[] {
    this.#pending += text;
    const blocks = this.#pending.split(/\r?\n\r?\n/);
    this.#pending = blocks.pop() ?? "";
    return blocks.flatMap((block) => this.#read(block));
  }

  #read(block: string): LiveEvent[] {
    let id: string | null = null;
    let name = "message";
    const data: string[] = [];
    for (const line of block.split(/\r?\n/)) {
      const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (field === "id") id = value!;
      if (field === "event") name = value!;
      if (field === "data") data.push(value!);
    }
    if (id !== null) this.lastId = id;
    if (data.length === 0) return [];
    try {
      return [{ id, name, data: JSON.parse(data.join("\n")) as LiveEvent["data"] }];
    } catch {
      return [];
    }
  }
}
