/** The one authority for names that an edit adds: no tensor and no node of the model may already carry them. */
import type { ModelProto } from "./model.ts";
import { allNodes, graphsOf } from "./walk.ts";

export class FreshNames {
  readonly #taken = new Set<string>();

  /** Collects every tensor and node name of the model, bodies and functions included. */
  constructor(model: ModelProto) {
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
    let name = hint;
    for (let i = 1; name === "" || this.#taken.has(name); i++) name = `${hint}_${i}`;
    this.#taken.add(name);
    return name;
  }
}
