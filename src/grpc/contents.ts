/**
 * `InferTensorContents`: the elements of a tensor as a repeated field of the kind of its datatype. Read from the wire into
 * typed arrays and back; objects per element would take dozens of times the memory of a message.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { AtPatchError } from "../shared/errors.ts";
import { jsonElements } from "../shared/json-element.ts";
import { bytesElements, checkedCount, writeRaw } from "../shared/raw-tensor.ts";
import {
  datatypes,
  type AnyTensor,
  type Datatype,
  type NumericDatatype,
  type TypedArray,
} from "../shared/tensor.ts";

/** A field of the message. */
interface Place {
  readonly name: string;
  readonly number: number;
  /** Fewest bytes of an element. */
  readonly least: number;
}

const bools: Place = { name: "bool_contents", number: 1, least: 1 };
const ints: Place = { name: "int_contents", number: 2, least: 1 };
const int64s: Place = { name: "int64_contents", number: 3, least: 1 };
const uints: Place = { name: "uint_contents", number: 4, least: 1 };
const uint64s: Place = { name: "uint64_contents", number: 5, least: 1 };
const floats: Place = { name: "fp32_contents", number: 6, least: 4 };
const doubles: Place = { name: "fp64_contents", number: 7, least: 8 };
const texts: Place = { name: "bytes_contents", number: 8, least: 2 };
const all = [bools, ints, int64s, uints, uint64s, floats, doubles, texts];

/** Where the elements of a datatype are; half precision has no place. */
const placeOf: Readonly<Record<Datatype, Place | null>> = {
  BOOL: bools,
  INT8: ints,
  INT16: ints,
  INT32: ints,
  INT64: int64s,
  UINT8: uints,
  UINT16: uints,
  UINT32: uints,
  UINT64: uint64s,
  FP16: null,
  BF16: null,
  FP32: floats,
  FP64: doubles,
  BYTES: texts,
};

/** Whether a datatype can be in such a message. */
export function hasContents(datatype: Datatype): boolean {
  return placeOf[datatype] !== null;
}

/**
 * Reads a tensor.
 * @param field what to call it in errors, e.g. `inputs[0]`
 * @throws AtPatchError ATPATCH_BAD_INPUT naming the field, ATPATCH_UNPROCESSABLE for half precision
 */
export function readContents(
  field: string,
  datatype: Datatype,
  shape: readonly number[],
  message: Uint8Array,
): AnyTensor {
  const place = placeOf[datatype];
  if (place === null) {
    const what = `${field}.datatype: ${datatype} has no typed contents, send the tensor in raw_input_contents`;
    throw new AtPatchError("ATPATCH_UNPROCESSABLE", what);
  }
  const at = `${field}.contents`;
  const count = checkedCount(field, shape);
  const wrong = (got: string): AtPatchError =>
    bad(`${at}.${place.name}: shape [${shape.join(", ")}] needs ${count} values, got ${got}`);
  // No more than the message can hold, whatever the shape says.
  const room = Math.min(count, Math.floor(message.length / place.least));
  const sink =
    datatype === "BYTES" ? new TextSink(message.length + 4 * room) : new NumberSink(at, datatype, room);
  try {
    readFields(at, datatype, place, message, () => {
      if (sink.length === count) throw wrong("more");
      return sink;
    });
  } catch (error) {
    throw error instanceof AtPatchError ? error : bad(`${at}: the message is malformed`);
  }
  if (sink.length !== count) throw wrong(String(sink.length));
  return { datatype, shape, data: sink.finish() } as AnyTensor;
}

/** Takes elements one by one. */
interface Sink {
  readonly length: number;
  take(reader: BinaryReader): void;
  finish(): TypedArray;
}

function readFields(
  at: string,
  datatype: Datatype,
  place: Place,
  message: Uint8Array,
  next: () => Sink,
): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number !== place.number) {
      const other = all.find((candidate) => candidate.number === number);
      if (other !== undefined) throw bad(`${at}.${other.name}: ${datatype} belongs in ${place.name}`);
      reader.skip(wire, number);
    } else if (wire === WireType.LengthDelimited && place !== texts) {
      const end = reader.uint32() + reader.pos;
      if (end > reader.len) throw bad(`${at}: the message is malformed`);
      while (reader.pos < end) next().take(reader);
    } else next().take(reader);
  }
}

class NumberSink implements Sink {
  readonly #at: string;
  readonly #datatype: NumericDatatype;
  readonly #values: TypedArray;
  #length = 0;

  constructor(at: string, datatype: NumericDatatype, count: number) {
    this.#at = at;
    this.#datatype = datatype;
    this.#values = new datatypes[datatype](count);
  }

  get length(): number {
    return this.#length;
  }

  take(reader: BinaryReader): void {
    this.#values[this.#length] = this.#read(reader);
    this.#length += 1;
  }

  finish(): TypedArray {
    return this.#values;
  }

  #read(reader: BinaryReader): number | bigint {
    const datatype = this.#datatype;
    switch (datatype) {
      // Not-a-numbers and infinities may pass, as raw bytes may hold them as well.
      case "FP32":
        return reader.float();
      case "FP64":
        return reader.double();
      case "INT64":
        return BigInt(reader.int64());
      case "UINT64":
        return BigInt(reader.uint64());
      case "BOOL":
        return Number(reader.bool());
      default: {
        const given = placeOf[datatype] === ints ? reader.int32() : reader.uint32();
        const { read, expected } = jsonElements[datatype];
        const value = read(given);
        if (value !== undefined) return value;
        const where = `${this.#at}.${placeOf[datatype]!.name}[${this.#length}]`;
        throw bad(`${where}: expected ${expected}, got ${given}`);
      }
    }
  }
}

/** Puts texts behind each other, each behind its length. */
class TextSink implements Sink {
  readonly #bytes: Buffer;
  #end = 0;
  #length = 0;

  constructor(most: number) {
    this.#bytes = Buffer.allocUnsafe(most);
  }

  get length(): number {
    return this.#length;
  }

  take(reader: BinaryReader): void {
    const text = reader.bytes();
    this.#end = this.#bytes.writeUInt32LE(text.length, this.#end);
    this.#bytes.set(text, this.#end);
    this.#end += text.length;
    this.#length += 1;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }
}

/** The encoded message of a tensor whose datatype has a place in it. */
export function writeContents(tensor: AnyTensor): Uint8Array {
  const writer = new BinaryWriter();
  const { number } = placeOf[tensor.datatype]!;
  switch (tensor.datatype) {
    case "BYTES":
      for (const text of bytesElements(tensor)) writer.tag(number, WireType.LengthDelimited).bytes(text);
      break;
    // On the wire as they are in memory.
    case "BOOL":
    case "FP32":
    case "FP64":
      writer.tag(number, WireType.LengthDelimited).bytes(writeRaw(tensor));
      break;
    default: {
      writer.tag(number, WireType.LengthDelimited).fork();
      const unsigned = tensor.datatype.startsWith("U");
      for (const value of tensor.data) writeInteger(writer, value, unsigned);
      writer.join();
    }
  }
  return writer.finish();
}

function writeInteger(writer: BinaryWriter, value: number | bigint, unsigned: boolean): BinaryWriter {
  if (typeof value === "bigint") return unsigned ? writer.uint64(value) : writer.int64(value);
  return unsigned ? writer.uint32(value) : writer.int32(value);
}

function bad(message: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", message);
}
