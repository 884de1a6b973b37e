import { describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../shared/safetensors.ts";
import { exampleBundle, exampleMetadata, exampleTensors, refusal, uncheckedBundle } from "../test/bundles.ts";
import { encodeBundle, parseBundle } from "./bundle.ts";

describe("bundle metadata", () => {
  it.each<[string, unknown, string]>([
    ["another format", { format: 2 }, "format: expected 1"],
    ["a model that is no fingerprint", { model: "gtsrb" }, "model"],
    ["a missing field", { report: undefined }, "report"],
    ["an unknown field", { note: "x" }, "note: there is no such field"],
    ["no sites", { sites: 0 }, "sites"],
    ["another number of sites", { sites: 4 }, "tensor slot: expected 4 sites"],
    ["a site out of range", { detectionSites: [0, 3] }, "below 3, got [0, 3]"],
    ["sites out of order", { detectionSites: [2, 0] }, "rising order"],
    ["a site twice", { detectionSites: [0, 0] }, "rising order"],
    ["thresholds of another site", { thresholds: [{ site: 0, gate: 1, column: 1 }] }, "one entry for each"],
    ["an unknown reference", { reference: "mean" }, "reference"],
    ["a reference that is not zero", { reference: "zero" }, 'expected zeros for the reference "zero"'],
    ["unknown features", { features: "both" }, "features"],
    ["a kernel of 2", { kernel: 2 }, "kernel: expected one of 1, 3"],
    ["a reference bound to no length", { keys: null }, "expected 1 key positions, got 5"],
    ["a reference of another length", { keys: 7 }, "expected 1 or 7 key positions, got 5"],
    ["a report that is text", { report: "fine" }, "report"],
  ])("refuses metadata with %s", (_fault, change, message) => {
    const metadata = { ...exampleMetadata(), ...(change as object) };
    const text = refusal(() => parseBundle(uncheckedBundle(metadata, {})));
    expect(text).toMatch(/^ATPATCH_BAD_BUNDLE /);
    expect(text).toContain(message);
    expect(refusal(() => encodeBundle(metadata as never, exampleTensors()))).toBe(text);
  });

  it("refuses a file without the document, or with one that is no JSON or says something twice", () => {
    const { tensors } = readSafetensors(exampleBundle());
    const withDocument = (metadata: Record<string, string>) =>
      refusal(() => parseBundle(writeSafetensors(tensors, metadata)));
    expect(withDocument({ format: "pt" })).toContain("no detector bundle");
    expect(withDocument({ atpatch: "{" })).toContain("no JSON");
    const text = JSON.stringify(exampleMetadata());
    expect(withDocument({ atpatch: `{"kernel":1,${text.slice(1)}` })).toContain("same field twice");
  });
});
