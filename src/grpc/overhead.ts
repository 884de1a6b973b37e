/**
 * A look at a message before it is decoded. Two bytes on the wire can become an object of hundreds, so what is not the
 * payload of a tensor or a file may take only so many.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { AtPatchError } from "../shared/errors.ts";

/** Fields of a message: `true` for a payload, which stays as it is, a table for a message that holds one. */
export interface Payloads {
  readonly [field: number]: true | Payloads;
}

/** Most bytes beside the payloads. */
const most = 2 ** 20;

/**
 * @throws AtPatchError ATPATCH_TOO_LARGE, ATPATCH_BAD_INPUT for what is no message
 */
export function checkOverhead(message: Uint8Array, payloads: Payloads): void {
  let overhead: number;
  try {
    overhead = message.length - payloadBytes(message, payloads);
  } catch (error) {
    throw new AtPatchError("ATPATCH_BAD_INPUT", "the message is malformed", { cause: error });
  }
  if (overhead <= most) return;
  const what = `names, shapes and parameters of a message take ${overhead} bytes, at most ${most} are read`;
  throw new AtPatchError("ATPATCH_TOO_LARGE", what);
}

function payloadBytes(message: Uint8Array, payloads: Payloads): number {
  const reader = new BinaryReader(message);
  let bytes = 0;
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    const payload = payloads[number];
    if (payload === undefined || wire !== WireType.LengthDelimited) {
      reader.skip(wire, number);
      continue;
    }
    const part = reader.bytes();
    bytes += payload === true ? part.length : payloadBytes(part, payload);
  }
  return bytes;
}
