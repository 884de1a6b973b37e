import { describe, expect, it } from "vitest";
import { Batcher } from "./batcher.ts";

describe("Batcher", () => {
  it("runs a shape alone until it has been measured", () => {
    const batcher = new Batcher({ samples: 32, fillMs: 10 });
    expect(batcher.room("short")).toBe(1);
    batcher.measured("short", 1, 1);
    expect(batcher.room("short")).toBe(10);
    expect(batcher.room("long")).toBe(1);
  });

  it("fills short runs up to the limit, and joins nothing to long ones", () => {
    const batcher = new Batcher({ samples: 8, fillMs: 10 });
    batcher.measured("tiny", 2, 0.2);
    batcher.measured("large", 1, 40);
    expect([batcher.room("tiny"), batcher.room("large")]).toEqual([8, 1]);
  });

  it("follows a model that becomes slower", () => {
    const batcher = new Batcher({ samples: 100, fillMs: 10 });
    batcher.measured("x", 1, 1);
    for (let i = 0; i < 50; i++) batcher.measured("x", 1, 5);
    expect(batcher.room("x")).toBe(2);
  });

  it("forgets the shapes that were not used for longest", () => {
    const batcher = new Batcher({ samples: 32, fillMs: 10 });
    for (let i = 0; i < 300; i++) {
      batcher.measured(String(i), 1, 1);
      batcher.measured("0", 1, 1);
    }
    expect([batcher.room("0"), batcher.room("1"), batcher.room("299")]).toEqual([10, 1, 10]);
  });

  it("never joins again what could not be divided", () => {
    const batcher = new Batcher({ samples: 32, fillMs: 10 });
    batcher.measured("x", 1, 1);
    batcher.keepApart("x");
    batcher.measured("x", 1, 1);
    expect(batcher.room("x")).toBe(1);
  });
});
