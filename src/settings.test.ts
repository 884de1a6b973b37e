import { describe, expect, it } from "vitest";
import { AtPatchError } from "./shared/errors.ts";
import { isLoopback, parseSettingFlags, resolveSettings, settingDefinitions } from "./settings.ts";

function faultsOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AtPatchError);
    expect((error as AtPatchError).code).toBe("ATPATCH_BAD_SETTINGS");
    return (error as AtPatchError).message;
  }
  throw new Error("the settings were accepted");
}

describe("resolveSettings", () => {
  it("takes flags before the environment before defaults", () => {
    const settings = resolveSettings(
      { port: "9001" },
      { ATPATCH_PORT: "9002", ATPATCH_QUEUE: "7", ATPATCH_HOST: "" },
    );
    expect(settings).toMatchObject({
      port: 9001,
      queue: 7,
      host: "127.0.0.1",
      models: "models",
      state: ".atpatch",
    });
  });

  it("has the contract's names and defaults", () => {
    const settings = resolveSettings({}, {});
    expect(settings).toMatchObject({
      port: 8080,
      grpcPort: { port: 8081, required: false },
      bodyLimit: 33_554_432,
      adminToken: null,
    });
    expect(Object.values(settingDefinitions).map((definition) => definition.env)).toEqual(
      expect.arrayContaining([
        "ATPATCH_HOST",
        "ATPATCH_PORT",
        "ATPATCH_GRPC_PORT",
        "ATPATCH_MODELS",
        "ATPATCH_STATE",
        "ATPATCH_ADMIN_TOKEN",
        "ATPATCH_TOKENS_FILE",
        "ATPATCH_WORKERS",
        "ATPATCH_THREADS",
        "ATPATCH_QUEUE",
        "ATPATCH_DEADLINE_MS",
        "ATPATCH_BODY_LIMIT",
        "ATPATCH_LOG_LEVEL",
      ]),
    );
    expect([settings.workers, settings.threads]).toEqual([null, null]);
    expect(Object.isFrozen(settings)).toBe(true);
  });

  it("lists every fault in one message, with the name the user used", () => {
    const message = faultsOf(() =>
      resolveSettings(
        { port: "80a", recheck: "maybe" },
        { ATPATCH_QUEUE: "0", ATPATCH_LOG_LEVEL: "loud", ATPATCH_BODY_LIMIT: "10 potatoes" },
      ),
    );
    expect(message.split("\n")).toHaveLength(6);
    expect(message).toContain('--port is "80a": expected a whole number from 0 to 65535');
    expect(message).toContain('--recheck is "maybe": expected on or off');
    expect(message).toContain('ATPATCH_QUEUE is "0": expected a whole number from 1 to 1000000');
    expect(message).toContain('ATPATCH_LOG_LEVEL is "loud": expected one of trace, debug');
    expect(message).toContain('ATPATCH_BODY_LIMIT is "10 potatoes": expected a size');
  });

  it("reads sizes with and without a unit", () => {
    expect(resolveSettings({ bodyLimit: "2 MiB" }, {}).bodyLimit).toBe(2_097_152);
    expect(resolveSettings({ bodyLimit: "4096" }, {}).bodyLimit).toBe(4096);
  });

  it("refuses an address others can reach without a token, and never prints a token", () => {
    expect(faultsOf(() => resolveSettings({ host: "0.0.0.0" }, {}))).toContain("ATPATCH_ADMIN_TOKEN");
    expect(resolveSettings({ host: "0.0.0.0", adminToken: "not-a-good-one" }, {}).host).toBe("0.0.0.0");
    expect(faultsOf(() => resolveSettings({ adminToken: "  " }, {}))).toContain(
      "--admin-token: it must not be empty",
    );
  });
});

describe("isLoopback", () => {
  it.each([
    ["127.0.0.1", true],
    ["127.9.9.9", true],
    ["::1", true],
    ["localhost", true],
    ["0.0.0.0", false],
    ["::", false],
    ["10.0.0.1", false],
    ["example.org", false],
  ])("%s: %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});

describe("parseSettingFlags", () => {
  it("reads every flag in both forms and refuses any other", () => {
    expect(parseSettingFlags(["--port", "9000", "--grpc-port=9001"])).toEqual({
      port: "9000",
      grpcPort: "9001",
    });
    const every = Object.values(settingDefinitions).map(({ flag }) => `${flag.split(" ")[0]}=x`);
    expect(Object.keys(parseSettingFlags(every))).toEqual(Object.keys(settingDefinitions));
    expect(faultsOf(() => parseSettingFlags(["--colour", "red"]))).toContain("--colour");
    expect(faultsOf(() => parseSettingFlags(["models"]))).toContain("models");
  });
});
