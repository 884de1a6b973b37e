/** Models without a known kind of data: instances are nested numbers, one list per input. */
import { AtPatchError } from "../shared/errors.ts";
import type { TensorInfo } from "../shared/tensor.ts";
import { batchedInput, checkInstances, stack, type BatchedInput } from "./batch.ts";
import type { ClassScores } from "./class-scores.ts";
import { isJsonObject } from "./folder-files.ts";
import { readNested } from "./nested.ts";
import type { KeyLayout, Prepared, Task } from "./task.ts";

export interface TensorTaskOptions {
  readonly inputs: readonly TensorInfo[];
  readonly scores: ClassScores;
  readonly layout: KeyLayout;
  readonly instanceLimit?: number | undefined;
}

/** A task whose instances are nested numbers, or `{"<input>": nested numbers, …}` where the model has several inputs. */
export function createTensorTask({ inputs, scores, layout, instanceLimit }: TensorTaskOptions): Task {
  return {
    kind: "tensor",
    labels: scores.labels,
    // Inputs that no instance can fill are complained of when there is one.
    batch: inputs.find(({ shape }) => typeof shape[0] === "number")?.shape[0] ?? null,
    layout,
    prepare: async (instances) => {
      const batched = inputs.map(batchedInput);
      checkInstances(instances, batched, instanceLimit);
      return prepareTensors(instances, batched);
    },
    predict: scores.predict,
    logits: scores.logits,
  };
}

/** Model inputs from instances of nested numbers; no column has a place in them. */
function prepareTensors(instances: readonly unknown[], inputs: readonly BatchedInput[]): Prepared {
  const rows = instances.map((instance, i) => byInput(`instances[${i}]`, instance, inputs));
  const tensors = inputs.map((input) => {
    const samples = rows.map((row) =>
      readNested(row.at(input.name), row.value(input.name), input.datatype, input.sampleShape),
    );
    return [input.name, stack(input.datatype, samples)] as const;
  });
  return { batch: instances.length, inputs: Object.fromEntries(tensors), locate: () => null };
}

interface Row {
  at(input: string): string;
  value(input: string): unknown;
}

function byInput(at: string, instance: unknown, inputs: readonly BatchedInput[]): Row {
  const names = inputs.map((input) => input.name);
  if (!isJsonObject(instance)) {
    if (inputs.length === 1) return { at: () => at, value: () => instance };
    throw new AtPatchError(
      "ATPATCH_BAD_INPUT",
      `${at}: expected an object with the inputs ${names.join(", ")}`,
    );
  }
  const missing = names.filter((name) => !Object.hasOwn(instance, name));
  const unknown = Object.keys(instance).filter((name) => !names.includes(name));
  if (missing.length > 0 || unknown.length > 0) {
    const faults = [
      ...missing.map((name) => `${name} is missing`),
      ...unknown.map((name) => `${name.slice(0, 40)} is no input of the model`),
    ];
    throw new AtPatchError("ATPATCH_BAD_INPUT", `${at}: ${faults.join(", ")} (inputs: ${names.join(", ")})`);
  }
  return { at: (input) => `${at}.${input}`, value: (input) => instance[input] };
}
