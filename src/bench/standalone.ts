/** Holds the file for other servers against the graph that the engine runs, both with a detector that flags. */
import { InferenceSession } from "onnxruntime-node";
import { inlineWeights } from "../cli/inline-weights.ts";
import { openModel } from "../cli/opened-model.ts";
import { neutralTensors } from "../detector/neutral.ts";
import { fromOrtTensor, toOrtTensor } from "../engine/ort-tensors.ts";
import { instrument } from "../hotfix/instrument.ts";
import type { DetectorTensors } from "../shared/detector-tensors.ts";
import { hotfixNames } from "../shared/patched-model.ts";
import { elementCount, float32, type Tensor } from "../shared/tensor.ts";
import { runPatched } from "../test/run-patched.ts";
import { numbersOf } from "../test/zoo.ts";
import { distance } from "./distance.ts";

/** More features than a site of a small model has; the operator cuts what is too long. */
const widest = 4096;

/** What is wrong with the answers of the standalone file; null when they are those of the engine's graph. */
export async function standaloneFault(
  path: string,
  given: ReadonlyMap<string, Tensor>,
  tolerance: number,
): Promise<string | null> {
  const file = await inlineWeights(await openModel(path));
  const { description, bytes } = instrument(file, { selfContained: true });
  const detector = openDetector(description.sites.length);
  const alone = instrument(file, { standalone: { detector, mode: "enforce" } });
  const inputs = Object.fromEntries(
    description.inputs.map(({ name }) => [name, toOrtTensor(name, given.get(name) as Tensor)]),
  );
  const batch = given.get(description.inputs[0]?.name ?? "")?.shape[0] ?? 1;
  const modes = Array.from({ length: batch }, () => 2);
  const expected = await withSession(bytes, (session) => runPatched(session, { inputs, modes, detector }));
  const actual = await withSession(alone.bytes, (session) => session.run(inputs));
  const names = [
    ...description.outputs.map(({ name }) => name),
    ...Array.from({ length: description.axes }, (_, axis) => hotfixNames.flags(axis)),
  ];
  let flagged = 0;
  for (const name of names) {
    const numbers = (answers: typeof actual): ArrayLike<number> =>
      answers[name] ? numbersOf(fromOrtTensor(name, answers[name])) : [];
    const [a, b] = [numbers(actual), numbers(expected)];
    if (distance(a, b).either > tolerance) return `"${name}" of the standalone file differs`;
    if (isFlags(name)) flagged += Array.from(b).filter((flag) => flag > 0).length;
  }
  return flagged > 0 ? null : "the standalone file flags nothing";
}

const isFlags = (name: string): boolean => name.startsWith(hotfixNames.flags(0).slice(0, -1));

/** A detector that flags as many columns as it may, at the first site of every axis, and replaces nothing else. */
function openDetector(sites: number): DetectorTensors {
  const zeros = (...shape: number[]): Tensor => float32(shape, new Float32Array(elementCount(shape)));
  return {
    ...neutralTensors(sites),
    slot: { datatype: "INT64", shape: [sites], data: new BigInt64Array(sites) },
    feature_mean: zeros(1, widest),
    feature_scale: zeros(1, widest),
    conv1_weight: zeros(1, 1, widest, 1),
    thresholds: float32([1, 2], [-1e9, -1e9]),
  };
}

async function withSession<T>(bytes: Uint8Array, use: (session: InferenceSession) => Promise<T>): Promise<T> {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}
