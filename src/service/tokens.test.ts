import { describe, expect, it } from "vitest";
import { sha256 } from "../shared/digest.ts";
import { adminEntry, allows, generateToken, parseTokens, TokenTable } from "./tokens.ts";

describe("TokenTable", () => {
  it("knows tokens by their digest alone", () => {
    const file = [
      { name: "ci", scopes: ["detectors:write"], sha256: sha256("ci-token") },
      { name: "ops", scopes: ["admin"], sha256: sha256("ops-token").toUpperCase() },
    ];
    const table = new TokenTable([...parseTokens(JSON.stringify(file)), adminEntry("admin", "root-token")]);
    const ci = table.find("ci-token")!;
    expect(ci.name).toBe("ci");
    expect([allows(ci, "detectors:write"), allows(ci, "policy:write"), allows(ci, "admin")]).toEqual([
      true,
      false,
      false,
    ]);
    expect(allows(table.find("ops-token")!, "policy:write")).toBe(true);
    expect(table.find("root-token")!.name).toBe("admin");
    expect(table.find("ci-tokeN")).toBeNull();
    expect(table.find("")).toBeNull();
    expect(table.find(sha256("ci-token"))).toBeNull();
  });

  it("makes tokens that cannot be guessed", () => {
    expect(generateToken()).toMatch(/^[\w-]{32}$/);
    expect(generateToken()).not.toBe(generateToken());
  });
});

describe("parseTokens", () => {
  const good = { name: "ci", scopes: ["read"], sha256: "0".repeat(64) };
  it.each([
    ["[", "it is not JSON"],
    ["{}", "expected a list"],
    ["[]", "expected a list"],
    [JSON.stringify([good, null]), "[1].name"],
    [JSON.stringify([{ ...good, name: "a b" }]), "[0].name: expected 1 to 64 letters"],
    [JSON.stringify([{ ...good, name: "guard" }]), '[0].name: "guard" stands for the server itself'],
    [JSON.stringify([good, good]), '[1].name: "ci" is there twice'],
    [
      JSON.stringify([{ ...good, scopes: ["write"] }]),
      "[0].scopes: expected a list of read, detectors:write",
    ],
    [JSON.stringify([{ ...good, scopes: "read" }]), "[0].scopes"],
    [JSON.stringify([{ ...good, sha256: "secret" }]), "[0].sha256: expected 64 hex digits"],
  ])("refuses %s", (text, message) => {
    expect(() => parseTokens(text)).toThrow(message);
  });
});
