/** The classification extension: the largest values of an output, as texts `value:index[:label]`. */
import { floatValues } from "../shared/float-bits.ts";
import { bytesTensor } from "../shared/raw-tensor.ts";
import type { BytesTensor, Tensor } from "../shared/tensor.ts";

export interface Classification {
  /** Classes wanted; all there are when there are fewer. */
  readonly classes: number;
  /** Samples, when the first dimension of the output counts them; null when the output is one sample. */
  readonly samples: number | null;
  /** Names of the classes by index; used only when there is one for every class. */
  readonly labels: readonly string[];
}

/** BYTES [samples, k], or [k] without samples; the largest first, the lower index of equal ones, not-a-numbers last. */
export function classify(tensor: Tensor, { classes, samples, labels }: Classification): BytesTensor {
  const values = comparable(tensor);
  const rows = samples ?? 1;
  const width = rows === 0 ? 0 : values.length / rows;
  const k = Math.min(classes, width);
  const named = labels.length === width;
  const texts: Uint8Array[] = [];
  for (let row = 0; row < rows; row += 1) {
    const of = values.slice(row * width, (row + 1) * width);
    const order = Array.from(of, (_, index) => index).sort((a, b) => descending(of[a]!, of[b]!) || a - b);
    for (const index of order.slice(0, k)) {
      const label = named ? `:${labels[index]}` : "";
      texts.push(Buffer.from(`${decimal(tensor, of[index]!)}:${index}${label}`));
    }
  }
  return bytesTensor(samples === null ? [k] : [samples, k], texts);
}

type Value = number | bigint;

function comparable(tensor: Tensor): readonly Value[] {
  const { data, datatype } = tensor;
  const half = datatype === "FP16" || datatype === "BF16";
  return Array.from((half ? floatValues(tensor) : data) as Iterable<Value>);
}

function descending(a: Value, b: Value): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? 1 : a > b ? -1 : 0;
}

/** Nine significant digits tell any two single-precision numbers apart. */
function decimal({ datatype }: Tensor, value: Value): string {
  return datatype === "FP32" ? String(Number((value as number).toPrecision(9))) : String(value);
}
