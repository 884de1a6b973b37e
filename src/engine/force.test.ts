import { describe, expect, it } from "vitest";
import { tensor } from "../shared/tensor.ts";
import { joinForced } from "./force.ts";

const always = tensor("BOOL", [3], Uint8Array.of(0, 1, 0));

describe("joinForced", () => {
  it("forces the detector's columns in every sample", () => {
    expect(joinForced(undefined, always, 2)).toEqual(tensor("BOOL", [2, 3], Uint8Array.of(0, 1, 0, 0, 1, 0)));
  });

  it("adds the columns that the request forces, sample by sample", () => {
    const asked = tensor("BOOL", [2, 3], Uint8Array.of(1, 0, 0, 0, 0, 1));
    expect([...joinForced(asked, always, 2).data]).toEqual([1, 1, 0, 0, 1, 1]);
    const wide = tensor("BOOL", [2, 1], Uint8Array.of(0, 1));
    expect([...joinForced(wide, always, 2).data]).toEqual([0, 1, 0, 1, 1, 1]);
  });
});
