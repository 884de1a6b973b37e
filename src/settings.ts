/**
 * Every setting of the server, declared once: flag, environment name, parser, default and help. The command line
 * registers its options from here, and {@link resolveSettings} is the only reader of the environment.
 */
import { BlockList, isIP } from "node:net";
import { parseArgs } from "node:util";
import {
  automaticInteger,
  bytes,
  choice,
  integer,
  optionalPort,
  optionalText,
  separatePort,
  text,
  toggle,
  type SettingDefinition,
} from "./setting-kinds.ts";
import { AtPatchError, messageOf } from "./shared/errors.ts";

export type { SettingDefinition };

const port: readonly [number, number] = [0, 65535];

/** The settings, in the order in which the help lists them. */
export const settingDefinitions = {
  host: text({ flag: "--host <address>", env: "ATPATCH_HOST", help: "address to listen on" }, "127.0.0.1"),
  port: integer(
    { flag: "--port <number>", env: "ATPATCH_PORT", help: "HTTP port, 0 for any free one" },
    8080,
    port,
  ),
  grpcPort: optionalPort(
    {
      flag: "--grpc-port <number>",
      env: "ATPATCH_GRPC_PORT",
      help: "gRPC port, 0 for any free one, off for none",
    },
    8081,
  ),
  models: text(
    {
      flag: "--models <folder>",
      env: "ATPATCH_MODELS",
      help: "folder of model folders, or one model folder",
    },
    "models",
  ),
  defaultModel: optionalText({
    flag: "--default-model <name>",
    env: "ATPATCH_DEFAULT_MODEL",
    help: "model that POST /predict asks",
    text: "the one that says so in atpatch.json, else the first by name",
  }),
  state: text(
    { flag: "--state <folder>", env: "ATPATCH_STATE", help: "folder for detectors, policy and history" },
    ".atpatch",
  ),
  adminToken: optionalText({
    flag: "--admin-token <token>",
    env: "ATPATCH_ADMIN_TOKEN",
    help: "bearer token with every scope",
    text: "generated on a loopback address",
    secret: true,
  }),
  tokensFile: optionalText({
    flag: "--tokens-file <file>",
    env: "ATPATCH_TOKENS_FILE",
    help: "JSON list of tokens: name, scopes, sha256",
  }),
  adminHost: optionalText({
    flag: "--admin-host <address>",
    env: "ATPATCH_ADMIN_HOST",
    help: "address of the admin listener",
    text: "as --host",
  }),
  adminPort: separatePort({
    flag: "--admin-port <number>",
    env: "ATPATCH_ADMIN_PORT",
    help: "port on which alone /admin, the console and repository calls are served",
    text: "none: on the HTTP port",
  }),
  failedTokens: integer(
    {
      flag: "--failed-tokens <number>",
      env: "ATPATCH_FAILED_TOKENS",
      help: "wrong tokens of one address a minute before it is turned away",
    },
    30,
    [1, 1_000_000],
  ),
  workers: automaticInteger(
    {
      flag: "--workers <number>",
      env: "ATPATCH_WORKERS",
      help: "worker threads of a model, measured at the start",
    },
    [1, 64],
  ),
  threads: automaticInteger(
    {
      flag: "--threads <number>",
      env: "ATPATCH_THREADS",
      help: "compute threads of a worker, measured at the start",
    },
    [1, 256],
  ),
  queue: integer(
    { flag: "--queue <number>", env: "ATPATCH_QUEUE", help: "requests of a model that may wait" },
    256,
    [1, 1_000_000],
  ),
  queueBytes: bytes(
    {
      flag: "--queue-bytes <size>",
      env: "ATPATCH_QUEUE_BYTES",
      help: "inputs of waiting requests of a model",
    },
    256 * 2 ** 20,
    [1024, 2 ** 40],
  ),
  batch: integer(
    {
      flag: "--batch <samples>",
      env: "ATPATCH_BATCH",
      help: "most samples of waiting requests that share a run, 1 for none",
    },
    32,
    [1, 4096],
  ),
  batchDelayMs: integer(
    {
      flag: "--batch-delay-ms <ms>",
      env: "ATPATCH_BATCH_DELAY_MS",
      help: "longest wait for company while a worker is idle",
    },
    0,
    [0, 10_000],
  ),
  deadlineMs: integer(
    { flag: "--deadline-ms <ms>", env: "ATPATCH_DEADLINE_MS", help: "longest time from arrival to answer" },
    30_000,
    [1, 3_600_000],
  ),
  bodyLimit: bytes(
    { flag: "--body-limit <size>", env: "ATPATCH_BODY_LIMIT", help: "largest request body" },
    32 * 2 ** 20,
    [1024, 2 ** 30],
  ),
  bodyMemory: bytes(
    {
      flag: "--body-memory <size>",
      env: "ATPATCH_BODY_MEMORY",
      help: "most bytes of request bodies in memory at once",
    },
    512 * 2 ** 20,
    [1024, 2 ** 40],
  ),
  maxInstances: integer(
    { flag: "--max-instances <number>", env: "ATPATCH_MAX_INSTANCES", help: "samples one request may carry" },
    1024,
    [1, 1_000_000],
  ),
  recheck: toggle(
    {
      flag: "--recheck <on|off>",
      env: "ATPATCH_RECHECK",
      help: "run a sample again when its first flag came after the first site",
    },
    true,
  ),
  record: choice(
    {
      flag: "--record <what>",
      env: "ATPATCH_RECORD",
      help: "what is kept of recent requests, in memory, to be marked as wrong",
    },
    "off",
    ["off", "features", "inputs"],
  ),
  recordSamples: integer(
    { flag: "--record-samples <number>", env: "ATPATCH_RECORD_SAMPLES", help: "samples recorded of a model" },
    2000,
    [1, 100_000],
  ),
  recordBytes: bytes(
    {
      flag: "--record-bytes <size>",
      env: "ATPATCH_RECORD_BYTES",
      help: "memory for what is recorded of a model",
    },
    64 * 2 ** 20,
    [2 ** 16, 2 ** 32],
  ),
  recordAgeS: integer(
    {
      flag: "--record-age-s <s>",
      env: "ATPATCH_RECORD_AGE_S",
      help: "seconds after which a recorded sample is forgotten",
    },
    86_400,
    [1, 2_592_000],
  ),
  drainDelayMs: integer(
    {
      flag: "--drain-delay-ms <ms>",
      env: "ATPATCH_DRAIN_DELAY_MS",
      help: "time to go on serving as not ready after a stop signal",
    },
    0,
    [0, 600_000],
  ),
  drainMs: integer(
    {
      flag: "--drain-ms <ms>",
      env: "ATPATCH_DRAIN_MS",
      help: "longest wait for accepted requests at a stop",
    },
    30_000,
    [1, 3_600_000],
  ),
  logLevel: choice(
    { flag: "--log-level <level>", env: "ATPATCH_LOG_LEVEL", help: "least level that is logged" },
    "info",
    ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
  ),
} as const;

export type SettingName = keyof typeof settingDefinitions;

/** The resolved settings, frozen. */
export type Settings = {
  readonly [K in SettingName]: (typeof settingDefinitions)[K] extends SettingDefinition<infer T> ? T : never;
};

/** Text as it comes from flags: one entry per setting that was given. */
export type SettingFlags = Partial<Readonly<Record<SettingName, string | undefined>>>;

/**
 * Settings from flags, then the environment, then defaults. An empty environment variable counts as absent.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS with one message that lists every fault
 */
export function resolveSettings(
  flags: SettingFlags,
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const faults: string[] = [];
  const resolved: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(settingDefinitions) as [
    SettingName,
    SettingDefinition<unknown>,
  ][]) {
    const flag = flags[name];
    const given = flag ?? (env[definition.env] || undefined);
    if (given === undefined) {
      resolved[name] = definition.fallback();
      continue;
    }
    const label = flag === undefined ? definition.env : definition.flag.split(" ")[0]!;
    try {
      resolved[name] = definition.parse(given);
    } catch (error) {
      faults.push(`${label}${definition.secret ? "" : ` is "${given}"`}: ${messageOf(error)}`);
      resolved[name] = definition.fallback();
    }
  }
  const settings = resolved as Settings;
  faults.push(...conflicts(settings));
  if (faults.length > 0) {
    const lines = faults.map((fault) => `  ${fault}`).join("\n");
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", `the settings are wrong:\n${lines}`);
  }
  return Object.freeze(settings);
}

/** What is wrong with settings that are right one by one. */
function conflicts(settings: Settings): string[] {
  const { adminToken, tokensFile, adminHost, adminPort } = settings;
  const faults: string[] = [];
  const hosts = { ATPATCH_HOST: settings.host, ...(adminHost !== null && { ATPATCH_ADMIN_HOST: adminHost }) };
  for (const [name, host] of Object.entries(hosts)) {
    if (isLoopback(host) || adminToken !== null || tokensFile !== null) continue;
    faults.push(
      `${name} is "${host}", which others can reach: set ATPATCH_ADMIN_TOKEN or ATPATCH_TOKENS_FILE first`,
    );
  }
  if (adminHost !== null && adminPort === null) faults.push("ATPATCH_ADMIN_HOST needs ATPATCH_ADMIN_PORT");
  if (
    adminPort !== null &&
    adminPort !== 0 &&
    adminPort === settings.port &&
    (adminHost ?? settings.host) === settings.host
  ) {
    faults.push(`ATPATCH_ADMIN_PORT is ${adminPort}, the HTTP port: choose another one`);
  }
  return faults;
}

/** Whether only this machine can reach a listener on `host`. Names other than localhost count as reachable. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === "localhost";
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  return loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/**
 * The settings among command-line arguments, `--name value` or `--name=value`.
 * @throws AtPatchError ATPATCH_BAD_SETTINGS for anything else
 */
export function parseSettingFlags(args: readonly string[]): SettingFlags {
  const names = Object.entries(settingDefinitions).map(([name, { flag }]) => [
    flag.slice(2).split(" ")[0]!,
    name,
  ]);
  const options = Object.fromEntries(names.map(([flag]) => [flag!, { type: "string" as const }]));
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    const flags: Partial<Record<string, string>> = {};
    for (const [flag, name] of names) {
      const value = values[flag!];
      if (typeof value === "string") flags[name!] = value;
    }
    return flags;
  } catch (error) {
    throw new AtPatchError("ATPATCH_BAD_SETTINGS", messageOf(error), { cause: error });
  }
}
