import { beforeEach, describe, expect, it } from "vitest";
import { float32 } from "../shared/tensor.ts";
import { toyDetector } from "../test/engine-models.ts";
import type { DetectorKey } from "./protocol.ts";
import { PublishedDetectors } from "./published.ts";

const tensors = toyDetector();

describe("PublishedDetectors", () => {
  let sent: string[];
  let buffers: unknown[];
  let detectors: PublishedDetectors;
  const names = (): DetectorKey[] => [...detectors].map(([detector]) => detector);

  beforeEach(() => {
    sent = [];
    buffers = [];
    detectors = new PublishedDetectors({
      publish: (detector, { buffer }) => {
        buffers.push(buffer);
        sent.push(`publish ${detector}`);
      },
      retire: (detector) => Promise.resolve(void sent.push(`retire ${detector}`)),
    });
  });

  it("sends the tensors of an id once", async () => {
    detectors.publish("a", tensors);
    detectors.publish("a", tensors);
    expect(sent).toEqual(["publish a"]);
  });

  it("refuses runs that name a detector it does not have", () => {
    expect(() => detectors.hold("a")).toThrow(expect.objectContaining({ code: "ATPATCH_UNKNOWN_DETECTOR" }));
  });

  it("frees a retired detector at once when no run holds it", async () => {
    detectors.publish("a", tensors);
    await detectors.retire("a");
    expect(sent).toEqual(["publish a", "retire a"]);
    expect(names()).toEqual([]);
  });

  it("keeps a retired detector for the runs that hold it, and for workers started meanwhile", async () => {
    detectors.publish("a", tensors);
    const release = [detectors.hold("a"), detectors.hold("a")];
    const retired = detectors.retire("a");
    expect(() => detectors.hold("a")).toThrow("not published");
    release[0]!();
    expect(names()).toEqual(["a"]);
    expect(sent).toEqual(["publish a"]);
    release[1]!();
    await retired;
    expect(sent).toEqual(["publish a", "retire a"]);
    expect(names()).toEqual([]);
  });

  it("keeps a detector that is published again while it is being retired", async () => {
    detectors.publish("a", tensors);
    const release = detectors.hold("a");
    const retired = detectors.retire("a");
    detectors.publish("a", tensors);
    await retired;
    release();
    detectors.hold("a")();
    expect(sent).toEqual(["publish a"]);
  });

  it("takes retiring twice, or something unknown, for done", async () => {
    detectors.publish("a", tensors);
    const release = detectors.hold("a");
    const retired = [detectors.retire("a"), detectors.retire("a"), detectors.retire("b")];
    release();
    await Promise.all(retired);
    expect(sent).toEqual(["publish a", "retire a"]);
  });

  it("refuses tensors that the runtime does not take", async () => {
    const slot = { datatype: "BF16", shape: [1], data: new Uint16Array(1) } as const;
    expect(() => detectors.publish("a", { ...tensors, slot })).toThrow('"slot" has datatype BF16');
    expect(names()).toEqual([]);
  });

  it("uses the memory of a freed detector again, once no worker has it", async () => {
    detectors.publish("a", tensors);
    const retired = detectors.retire("a");
    detectors.publish("b", tensors);
    await retired;
    detectors.publish("c", tensors);
    detectors.publish("d", tensors);
    expect(buffers[1]).not.toBe(buffers[0]);
    expect(buffers[2]).toBe(buffers[0]);
    expect(new Set(buffers).size).toBe(3);
    const larger = { ...tensors, reference_value: float32([1000], new Float32Array(1000)) };
    await detectors.retire("d");
    detectors.publish("e", larger);
    expect(new Set(buffers).size).toBe(4);
  });
});
