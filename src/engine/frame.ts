/**
 * Tensors of one message packed into one buffer: a single copy on the sending thread, a single buffer to hand over,
 * and the sender's own arrays stay usable. Offsets are multiples of 64 bytes, a cache line.
 */
import { datatypes, type NumericDatatype, type Tensor, type TypedArray } from "../shared/tensor.ts";

const alignment = 64;

interface FrameEntry {
  readonly name: string;
  readonly datatype: NumericDatatype;
  readonly shape: readonly number[];
  /** Bytes from the start of the buffer. */
  readonly offset: number;
  /** Elements. */
  readonly length: number;
}

export interface Frame {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  readonly entries: readonly FrameEntry[];
}

/** Copies tensors into one buffer, a new one or what `allocate` gives for the number of bytes needed at least. */
export function packFrame(
  tensors: Readonly<Record<string, Tensor>>,
  allocate: (bytes: number) => Frame["buffer"] = (bytes) => new ArrayBuffer(bytes),
): Frame {
  const entries: FrameEntry[] = [];
  let end = 0;
  for (const [name, { datatype, shape, data }] of Object.entries(tensors)) {
    const offset = Math.ceil(end / alignment) * alignment;
    entries.push({ name, datatype, shape, offset, length: data.length });
    end = offset + data.byteLength;
  }
  const buffer = allocate(end);
  const target = new Uint8Array(buffer);
  for (const entry of entries) {
    const { data } = tensors[entry.name]!;
    target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), entry.offset);
  }
  return { buffer, entries };
}

/** The tensors of a frame as views on its buffer. */
export function unpackFrame(frame: Frame): Record<string, Tensor> {
  return Object.fromEntries(
    frame.entries.map(({ name, datatype, shape, offset, length }) => {
      const data: TypedArray = new datatypes[datatype](frame.buffer as ArrayBuffer, offset, length);
      return [name, { datatype, shape, data }];
    }),
  );
}

/**
 * The same frame on memory of this thread's own; the runtime takes no arrays on shared memory.
 * A frame that is not shared is returned as it is.
 */
export function ownedFrame(frame: Frame): Frame {
  if (frame.buffer instanceof ArrayBuffer) return frame;
  const buffer = new ArrayBuffer(frame.buffer.byteLength);
  new Uint8Array(buffer).set(new Uint8Array(frame.buffer));
  return { buffer, entries: frame.entries };
}
