import { describe, expect, it } from "vitest";
import { FailedTokens } from "./failed-tokens.ts";

describe("FailedTokens", () => {
  it("lets an address fail so often a minute, and each failure be forgotten in its time", () => {
    let now = 0;
    const failures = new FailedTokens(3, () => now);
    for (let failed = 0; failed < 3; failed += 1) {
      expect(failures.allows("10.0.0.1")).toBe(true);
      failures.failed("10.0.0.1");
    }
    expect([failures.allows("10.0.0.1"), failures.allows("10.0.0.2")]).toEqual([false, true]);
    // Further failures do not lengthen the wait.
    for (let failed = 0; failed < 10; failed += 1) failures.failed("10.0.0.1");
    now += 19_000;
    expect(failures.allows("10.0.0.1")).toBe(false);
    now += 1_001;
    expect(failures.allows("10.0.0.1")).toBe(true);
    failures.failed("10.0.0.1");
    expect(failures.allows("10.0.0.1")).toBe(false);
  });

  it("takes the addresses of one network for one caller", () => {
    const failures = new FailedTokens(1, () => 0);
    failures.failed("2001:db8::1");
    failures.failed("::ffff:10.0.0.1");
    expect(
      ["2001:db8:0:0:5:6:7:8", "2001:db8::99%eth0", "2001:db8:1::1", "10.0.0.1", "::1"].map((address) =>
        failures.allows(address),
      ),
    ).toEqual([false, false, true, false, true]);
  });

  it("remembers a bounded number of addresses", () => {
    const failures = new FailedTokens(1, () => 0);
    failures.failed("10.0.0.1");
    for (let index = 0; index < 4096; index += 1) failures.failed(`10.1.${index >> 8}.${index & 255}`);
    expect([failures.allows("10.0.0.1"), failures.allows("10.1.15.255")]).toEqual([true, false]);
  });
});
