/** The one authority for names that an edit adds: no tensor and no node of the model may already carry them. */
import type { ModelProto } from "./model.ts";
import { allNodes, graphsOf } from "./walk.ts";

export class FreshNames {
  readonly #taken = new Set<string>();
  /** Number to try next, by hint. */
  readonly #next = new Map<string, number>();

  /** Collects every tensor and node name of the model, bodies and functions included; without a model none is taken. */
  constructor(model?: ModelProto) {
    if (!model) return;
    for (const graph of graphsOf(model)) {
      for (const { name } of [...graph.input, ...graph.output, ...graph.initializer]) this.#taken.add(name);
    }
    for (const holder of [...(model.graph ? [model.graph] : []), ...model.functions]) {
      for (const node of allNodes(holder)) {
        this.#taken.add(node.name);
        for (const name of [...node.input, ...node.output]) this.#taken.add(name);
      }
    }
  }

  /** `hint` itself when it is free, else `hint_1`, `hint_2`, …; the name is taken from then on. */
  take(hint: string): string {
    let next = this.#next.get(hint) ?? 0;
    let name = next === 0 ? hint : `${hint}_${next}`;
    while (name === "" || this.#taken.has(name)) name = `${hint}_${++next}`;
    this.#next.set(hint, next + 1);
    this.#taken.add(name);
    return name;
  }
}
