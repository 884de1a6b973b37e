/** What `verify` measures: the original and the instrumented model on the same inputs. */
import type { InferenceEngine } from "../engine/engine.ts";
import { DataType } from "../onnx/model.ts";
import { decodeSkeleton } from "../onnx/skeleton.ts";
import { hotfixNames, type PatchDescription } from "../shared/patched-model.ts";
import { readSafetensors, writeSafetensors } from "../shared/safetensors.ts";
import type { Tensor } from "../shared/tensor.ts";
import { readBytes, writeWhole } from "./files.ts";
import { openBatchEngine, withEngine, type OpenedModel } from "./opened-model.ts";
import { randomInputs } from "./random-inputs.ts";
import {
  allSameBits,
  coupledOutputs,
  differences,
  forcedColumns,
  repeatLast,
  rowSums,
  runOriginal,
  runPatched,
  sameBits,
  type Difference,
  type RowSums,
  type Tensors,
} from "./verify-model.ts";

export interface VerifyOptions {
  /** Files to read the inputs from, and to write the maps and outputs to. */
  readonly inputs?: string;
  readonly maps?: string;
  readonly outputs?: string;
  /** Seed of random inputs. */
  readonly seed: number;
}

/** The document of `verify --json`. */
export interface Verification {
  readonly passed: boolean;
  readonly samples: number;
  readonly sites: number;
  readonly inputs: "given" | "random";
  /** Instrumented with nothing flagged against the original. */
  readonly outputs: readonly Difference[];
  readonly max_abs_difference: number;
  readonly max_rel_difference: number;
  /** Unflagged samples beside flagged ones hold the bits of mode off; null for a batch of one. */
  readonly unflagged_bit_identical: boolean | null;
  /** Nothing flagged holds the bits of mode off. */
  readonly quiet_bit_identical: boolean;
  /** Outputs in which the original itself mixes the samples of a batch; left out of the bit comparison. */
  readonly coupled_outputs: readonly string[];
  readonly forced_changes_output: boolean;
  readonly row_sums: RowSums;
}

/** Bounds that a sound instrumentation keeps; half precision and 8-bit products round differently in another graph. */
const bounds = {
  float: { absolute: 1e-4, relative: 1e-5, rowSum: 1e-5 },
  reduced: { absolute: 2e-2, relative: 2e-2, rowSum: 2e-3 },
} as const;
const randomBatch = 4;

export async function verify(
  model: OpenedModel,
  options: VerifyOptions,
  progress: (stage: string) => void = () => {},
): Promise<Verification> {
  progress("starting");
  const { precision, quantised } = numericsOf(model);
  // The runtime's optimiser rounds 8-bit models in other places once a graph changes: compare what the graphs say.
  const optimization = quantised ? "disabled" : "all";
  const taps = ["map", "patched"] as const;
  return withEngine(await openBatchEngine(model, { taps, optimization, workers: 1 }), async (tapped) => {
    const { description } = tapped;
    const sites = description.sites.length;
    const inputs =
      options.inputs === undefined
        ? madeUp(model, tapped.description.inputs, options.seed)
        : await given(options.inputs);
    const batch = batchOf(description, inputs);
    progress("running the original");
    const [expected = {}, repeated = {}] = await runOriginal(
      model.path,
      [inputs, repeatLast(inputs, batch)],
      optimization,
    );
    const coupled = coupledOutputs(expected, repeated, batch);
    progress("running the instrumented model");
    const names = description.outputs.map(({ name }) => name);
    return withEngine(await openBatchEngine(model, { optimization, workers: 1 }), async (served) => {
      const off = await runPatched(served, inputs, batch, () => "off");
      const observed = await runPatched(served, inputs, batch, () => "observe");
      const outputs = [off, observed]
        .map((run) => differences(expected, run.outputs))
        .reduce((a, b) =>
          a.map((each, i) => (each.max_abs >= (b[i] as Difference).max_abs ? each : (b[i] as Difference))),
        );
      const odd = (sample: number): boolean => sample % 2 === 1;
      const mixed = await runPatched(served, inputs, batch, () => "enforce", forcedColumns(off, batch, odd));
      const even = Array.from({ length: batch }, (_, sample) => sample).filter((sample) => !odd(sample));

      const tapsOf = (kind: "map" | "patched"): string[] =>
        description.sites.map(({ index }) => hotfixNames.tap(kind, index));
      const forced = await runPatched(
        tapped,
        inputs,
        batch,
        () => "enforce",
        forcedColumns(off, batch, () => true),
        [...names, ...tapsOf("map"), ...tapsOf("patched")],
      );
      if (options.maps !== undefined) {
        const maps = await mapsOf(tapped, inputs, batch);
        await writeWhole(options.maps, [
          writeSafetensors(new Map(maps.map((map, site) => [`site${site}`, map]))),
        ]);
      }
      const figures = {
        samples: batch,
        sites,
        inputs: options.inputs === undefined ? ("random" as const) : ("given" as const),
        outputs,
        max_abs_difference: Math.max(0, ...outputs.map((each) => each.max_abs)),
        max_rel_difference: Math.max(0, ...outputs.map((each) => each.max_rel)),
        quiet_bit_identical: allSameBits(off.outputs, observed.outputs),
        unflagged_bit_identical:
          batch === 1 ? null : sameBits(without(off.outputs, coupled), mixed.outputs, batch, even),
        coupled_outputs: coupled,
        forced_changes_output: !allSameBits(off.outputs, mixed.outputs),
        row_sums: rowSums(forced, sites),
      };
      if (options.outputs !== undefined) {
        await writeWhole(options.outputs, [writeSafetensors(new Map(Object.entries(observed.outputs)))]);
      }
      return { passed: isSound(figures, bounds[precision]), ...figures };
    });
  });
}

/** Samples of a batch: the length of the first input whose first dimension varies, else of the first input. */
function batchOf({ inputs: infos }: PatchDescription, inputs: Tensors): number {
  const counted = infos.find(({ shape }) => shape[0] === null) ?? infos.find(({ shape }) => shape.length > 0);
  return (counted && inputs[counted.name]?.shape[0]) ?? 1;
}

/** The map of every site; those in a branch that did not run come from a run with all switches the other way round. */
async function mapsOf(engine: InferenceEngine, inputs: Tensors, batch: number): Promise<Tensor[]> {
  const names = engine.description.sites.map(({ index }) => hotfixNames.tap("map", index));
  const run = async (batchInputs: Tensors): Promise<Tensors> =>
    (await runPatched(engine, batchInputs, batch, () => "off", undefined, names)).outputs;
  const maps = await run(inputs);
  const missing = names.some((name) => maps[name]?.data.length === 0);
  const others = missing ? await run(flipSwitches(inputs)) : {};
  return names.flatMap((name) => (maps[name]?.data.length === 0 ? others[name] : maps[name]) ?? []);
}

/** The inputs with every single boolean turned round, such as the cache switch of a merged decoder. */
function flipSwitches(inputs: Tensors): Tensors {
  const flipped = Object.entries(inputs).map(([name, tensor]) => {
    const isSwitch = tensor.datatype === "BOOL" && tensor.data.length === 1;
    return [name, isSwitch ? { ...tensor, data: Uint8Array.of(tensor.data[0] ? 0 : 1) } : tensor] as const;
  });
  return Object.fromEntries(flipped);
}

function isSound(
  {
    outputs,
    unflagged_bit_identical: identical,
    quiet_bit_identical: quiet,
    row_sums: sums,
  }: Omit<Verification, "passed">,
  bound: { readonly absolute: number; readonly relative: number; readonly rowSum: number },
): boolean {
  // Outputs far from 1 (hidden states, counts) are held to the relative difference.
  const close = outputs.every((each) => each.max_abs <= bound.absolute || each.max_rel <= bound.relative);
  return (
    close &&
    identical !== false &&
    quiet &&
    sums.max_deviation <= bound.rowSum &&
    sums.lowest >= 0 &&
    sums.masked === 0
  );
}

function without(tensors: Tensors, names: readonly string[]): Tensors {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !names.includes(name)));
}

function numericsOf({ file }: OpenedModel): { precision: keyof typeof bounds; quantised: boolean } {
  const { graph } = decodeSkeleton(file.bytes, file.name);
  const halved = graph?.initializer.some(
    ({ dataType }) => dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16,
  );
  const quantised =
    graph?.node.some(({ opType }) => /Quantize|Integer|^QLinear|^QAttention/.test(opType)) === true;
  return { precision: halved === true || quantised ? "reduced" : "float", quantised };
}

function madeUp({ folder }: OpenedModel, inputs: Parameters<typeof randomInputs>[0], seed: number): Tensors {
  return randomInputs(inputs, { batch: randomBatch, seed, imageSize: folder.config?.imageSize ?? null });
}

async function given(path: string): Promise<Tensors> {
  return Object.fromEntries(readSafetensors(await readBytes(path)).tensors);
}
