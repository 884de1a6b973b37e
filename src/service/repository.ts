/** The repository verbs of the Open Inference Protocol, acting on detectors: load activates one, unload leaves none. */
import type { Change, RegistrySnapshot } from "../detector/registry.ts";
import { AtPatchError } from "../shared/errors.ts";
import type { AdminService } from "./admin.ts";
import type { ModelTable } from "./models.ts";

/** One detector of one model. */
export interface IndexEntry {
  /** Name of the model. */
  readonly name: string;
  /** Id of the detector; empty when the model has none. */
  readonly version: string;
  readonly state: "READY" | "UNAVAILABLE";
  /** Why it is not ready. */
  readonly reason: string;
}

/** Parameters of `load`, as clients send them. */
export type LoadParameters = Readonly<Record<string, string | number | boolean | Uint8Array>>;

export class RepositoryService {
  readonly #models: ModelTable;
  readonly #admin: AdminService;

  constructor(models: ModelTable, admin: AdminService) {
    this.#models = models;
    this.#admin = admin;
  }

  /** Every detector of every model, the oldest first; only the active ones when `readyOnly`. */
  async index(readyOnly = false): Promise<IndexEntry[]> {
    const entries = await Promise.all(
      this.#models.all().map(async ({ name }): Promise<IndexEntry[]> => {
        const detectors = await this.#admin.detectors(name);
        if (detectors.length === 0) {
          return [{ name, version: "", state: "UNAVAILABLE", reason: "no detector is stored" }];
        }
        return detectors.map(({ id, role }) =>
          role === "active"
            ? { name, version: id, state: "READY", reason: "" }
            : { name, version: id, state: "UNAVAILABLE", reason: "not active" },
        );
      }),
    );
    return entries.flat().filter(({ state }) => !readyOnly || state === "READY");
  }

  /**
   * Activates the detector that the parameters name or bring along, else the one that was uploaded last. `detector` is
   * its id, also within `config`, a JSON text; a parameter `file:<name>` is a bundle, as bytes or in base64.
   * @throws AtPatchError ATPATCH_BAD_INPUT naming the parameter, and what uploading and activating throw
   */
  async load(model: string, parameters: LoadParameters, change: Change): Promise<RegistrySnapshot> {
    this.#models.get(model);
    const { detector, bundle } = readLoad(parameters);
    if (bundle !== undefined) {
      const { id } = await this.#admin.upload(model, bundle, change);
      return this.#admin.activate(model, id, change);
    }
    const id = detector ?? (await this.#admin.detectors(model)).at(-1)?.id;
    if (id === undefined) {
      throw new AtPatchError("ATPATCH_UNKNOWN_DETECTOR", `model "${model}" has no detector to load`);
    }
    return this.#admin.activate(model, id, change);
  }

  /**
   * Serves the model without a detector.
   * @throws AtPatchError what activating throws
   */
  unload(model: string, change: Change): Promise<RegistrySnapshot> {
    return this.#admin.activate(model, null, change);
  }
}

function readLoad(parameters: LoadParameters): { detector?: string; bundle?: Uint8Array } {
  let detector: string | undefined;
  let bundle: Uint8Array | undefined;
  for (const [name, value] of Object.entries(parameters)) {
    if (name.startsWith("file:")) {
      if (bundle !== undefined) throw bad(name, "only one file can be loaded at a time");
      bundle = fileBytes(name, value);
    } else if (name === "detector") detector = idIn(name, value);
    else if (name === "config") detector ??= idIn("config.detector", configOf(value)["detector"]);
    else throw bad(name, "expected detector, config or file:<name>");
  }
  if (bundle !== undefined && detector !== undefined) {
    throw bad("detector", "a file is loaded already, name either");
  }
  return { ...(detector !== undefined && { detector }), ...(bundle !== undefined && { bundle }) };
}

function idIn(name: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw bad(name, "expected the id of a detector");
}

function configOf(value: unknown): Readonly<Record<string, unknown>> {
  try {
    const config: unknown = JSON.parse(String(value));
    if (typeof config === "object" && config !== null) return config as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw bad("config", "expected an object as JSON text");
}

function fileBytes(name: string, value: string | number | boolean | Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string" && /^[\w+/]+={0,2}\s*$/.test(value)) return Buffer.from(value, "base64");
  throw bad(name, "expected the bytes of a detector bundle, in base64 where the protocol is JSON");
}

function bad(name: string, what: string): AtPatchError {
  return new AtPatchError("ATPATCH_BAD_INPUT", `parameters.${name.slice(0, 80)}: ${what}`);
}
