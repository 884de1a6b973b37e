/** Runs the hot-fix operator and its plain reference on the same random cases. */
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { expect } from "vitest";
import type { QueryPositions } from "../hotfix/features.ts";
import { referenceOp, type OpOutputs } from "../hotfix/reference/op.ts";
import { detectorTensorNames } from "../shared/detector-tensors.ts";
import { graphTensor, isPointwise, pointwiseTensors } from "../shared/graph-tensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import type { OpCase, OpCaseShape } from "./op-cases.ts";
import { opModel } from "./op-model.ts";

/** Opsets at which the operator is written differently. */
export const opsets = [7, 8, 9, 10, 11, 13, 17, 18, 20];
const sessions = new Map<string, ort.InferenceSession>();

/** Loads a model for every opset and form; for `beforeAll`. */
export async function loadOpSessions(): Promise<void> {
  for (const opset of opsets) {
    for (const kind of ["self", "square", "cross"] as const) {
      const session = await ort.InferenceSession.create(opModel(opset, kind), { intraOpNumThreads: 1 });
      sessions.set(`${kind}${opset}`, session);
    }
  }
}

const toOrt = (t: Tensor): ort.Tensor =>
  new ort.Tensor(t.datatype === "INT64" ? "int64" : "float32", t.data as Float32Array, t.shape);

/** Whether a case can be run with its detector in the pointwise form. */
export const hasPointwiseForm = ({ detector }: OpCase): boolean =>
  isPointwise(detector) && Number(detector.slot.data[0]) >= 0;

/**
 * The operator alone, at one opset.
 * @param attention whether features of attention are wanted
 * @param pointwise the form in which the detector is fed
 */
export async function runOp(
  c: OpCase,
  kind: QueryPositions,
  opset: number,
  attention = true,
  pointwise = hasPointwiseForm(c),
): Promise<Record<string, ort.Tensor>> {
  const [batch = 0] = c.map.shape;
  const keys = c.map.shape[3] ?? 0;
  const enforced = c.flags.some((flag, k) => flag > 0 && (c.modes[Math.floor(k / keys)] ?? 0) > 1);
  const feeds: Record<string, ort.Tensor> = {
    map: toOrt(c.map),
    value: toOrt(c.value),
    mode: new ort.Tensor("int32", c.modes, [batch]),
    flags: new ort.Tensor("int32", c.flags, [batch, keys]),
    scores: new ort.Tensor("float32", new Float32Array(batch * keys), [batch, keys]),
    repair: new ort.Tensor("bool", Uint8Array.of(enforced ? 1 : 0), []),
    examine: new ort.Tensor("bool", Uint8Array.of(1), [1]),
    attention: new ort.Tensor("bool", Uint8Array.of(attention ? 1 : 0), [1]),
    pointwise: new ort.Tensor("bool", Uint8Array.of(pointwise ? 1 : 0), [1]),
  };
  for (const name of detectorTensorNames) feeds[name] = toOrt(graphTensor(name, c.detector[name]));
  if (pointwise)
    for (const [name, tensor] of Object.entries(pointwiseTensors(c.detector))) feeds[name] = toOrt(tensor);
  const session = sessions.get(`${kind}${opset}`);
  if (!session) throw new Error("no session");
  return session.run(feeds);
}

/** An output that must be there. */
function output(out: Record<string, ort.Tensor>, name: string): ort.Tensor {
  const found = out[name];
  if (!found) throw new Error(`the operator has no output ${name}`);
  return found;
}
export const floatsOf = (out: Record<string, ort.Tensor>, name: string) =>
  output(out, name).data as Float32Array;
export const intsOf = (out: Record<string, ort.Tensor>, name: string) => output(out, name).data as Int32Array;

/** The same in plain TypeScript. */
export function reference(c: OpCase, kind: QueryPositions): OpOutputs {
  const scores = new Float64Array(c.flags.length);
  return referenceOp({ ...c, scores, site: 0, kind: kind === "cross" ? "cross" : "self" });
}

export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] ?? NaN;
    expect(Math.abs((actual[i] ?? NaN) - e), `element ${i}: ${actual[i]} against ${e}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(e)),
    );
  }
}

/** Whether some decision of the reference hangs on less than rounding: such cases prove nothing either way. */
export function undecided(c: OpCase, logits: readonly number[][]): boolean {
  const [gate = 0, column = 0] = c.detector.thresholds.data as Float32Array;
  return logits.flat().some((s, i, all) => {
    const near = (x: number): boolean => Math.abs(s - x) < 1e-2;
    return near(gate) || near(column) || all.some((other, k) => k !== i && Math.abs(other - s) < 1e-3);
  });
}

export const kinds = fc.constantFrom("self" as const, "square" as const, "cross" as const);
export const runs = { numRuns: 150, seed: 20260107 };

/** The square form takes as many queries as keys. */
export function fitting(shape: OpCaseShape, kind: QueryPositions): OpCaseShape {
  return kind === "square" ? { ...shape, extraQueries: 0 } : shape;
}
