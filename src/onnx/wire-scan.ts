/**
 * A look at the protobuf records of a model file before anything is decoded: lengths, nesting and number of messages.
 * Wire format: https://protobuf.dev/programming-guides/encoding/. Payloads are skipped, so a file of any size takes
 * milliseconds, and nothing here recurses.
 */
import type { DescMessage } from "@bufbuild/protobuf";
import { AtPatchError } from "../shared/errors.ts";
import { ModelProtoSchema } from "./generated/onnx_pb.ts";

/** Nested messages the runtime's protobuf reader accepts. */
export const maxNesting = 100;
/** Messages a file may hold; the graphs of very large models have a few hundred thousand. */
export const maxMessages = 2_000_000;

/** Fields of a message that hold messages. */
type Children = ReadonlyMap<number, DescMessage>;

/**
 * @throws AtPatchError ATPATCH_BAD_MODEL when a record ends beyond its message, is malformed, or the nesting or number
 *   of messages is over the limit
 */
export function scanWire(bytes: Uint8Array): void {
  const known = new Map<DescMessage, Children>();
  const open: { end: number; children: Children; name: string }[] = [
    { end: bytes.length, children: childrenOf(ModelProtoSchema, known), name: "ModelProto" },
  ];
  let at = 0;
  let messages = 0;

  const varint = (end: number, name: string): number => {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = at < end ? bytes[at++] : undefined;
      if (byte === undefined) throw truncated(name);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw bad(`a number in ${name} has more than ten bytes`);
  };

  for (let current = open.at(-1); current !== undefined; current = open.at(-1)) {
    const { end, name } = current;
    if (at >= end) {
      open.pop();
      continue;
    }
    const tag = varint(end, name);
    const field = Math.floor(tag / 8);
    if (field === 0) throw bad(`${name} has a field with the number 0`);
    switch (tag % 8) {
      case 0:
        varint(end, name);
        break;
      case 1:
        at += 8;
        break;
      case 5:
        at += 4;
        break;
      case 2: {
        const length = varint(end, name);
        if (length > end - at) {
          throw bad(
            `a field of ${name} says it has ${length} bytes, ${end - at} are left: the file is cut off or broken`,
          );
        }
        const child = current.children.get(field);
        if (!child) {
          at += length;
          break;
        }
        if (++messages > maxMessages) throw bad(`the file holds more than ${maxMessages} messages`);
        if (open.length >= maxNesting)
          throw bad(`the graphs are nested too deep: more than ${maxNesting} messages inside each other`);
        open.push({ end: at + length, children: childrenOf(child, known), name: child.name });
        break;
      }
      case 3:
      case 4:
        throw bad(`${name} holds a group, which no ONNX file uses`);
      default:
        throw bad(`a field of ${name} has the unknown wire type ${tag % 8}`);
    }
    if (at > end) throw truncated(name);
  }
}

function childrenOf(message: DescMessage, known: Map<DescMessage, Children>): Children {
  const found = known.get(message);
  if (found) return found;
  const children = new Map<number, DescMessage>();
  for (const field of message.fields) if (field.message) children.set(field.number, field.message);
  known.set(message, children);
  return children;
}

function truncated(name: string): AtPatchError {
  return bad(`${name} ends in the middle of a record: the file is cut off or broken`);
}

function bad(what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_MODEL", `this is no readable ONNX model: ${what}`);
}
