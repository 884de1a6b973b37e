/** Which buffers a message hands over instead of copying. */
import type { Frame } from "./frame.ts";
import { reportArrays } from "../shared/site-report.ts";
import type { RunOutcome } from "./protocol.ts";

/** Below this many bytes a copy is cheaper than moving the buffer to another thread (measured: 60 against 85 µs a round trip). */
const worthMoving = 32 * 1024;

/** Buffers of a frame to move; none when it is small or shared. */
export function frameTransfers({ buffer }: Frame): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength >= worthMoving ? [buffer] : [];
}

/**
 * Buffers of a result to move. Only buffers that a tensor fills alone: a view on part of a buffer is copied, since
 * moving would take its neighbours along.
 */
export function resultTransfers({ outputs, flags, reports = [] }: RunOutcome): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  const consider = (data: ArrayBufferView): void => {
    const { buffer, byteLength } = data;
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && byteLength >= worthMoving) {
      buffers.add(buffer);
    }
  };
  for (const output of Object.values(outputs)) consider(output.data);
  for (const { firstSite, score } of flags) {
    consider(firstSite);
    consider(score);
  }
  for (const report of reports) reportArrays(report).forEach(consider);
  return [...buffers];
}
