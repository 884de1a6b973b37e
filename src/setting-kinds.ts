/** Kinds of settings: how the text of a flag or an environment variable becomes a value, and what is expected of it. */

/** One setting; `parse` turns text into the value or throws with what was expected. */
export interface SettingDefinition<T> {
  /** Long option of `serve`, with its argument, e.g. `--port <number>`. */
  readonly flag: string;
  readonly env: string;
  /** What holds when neither flag nor environment says anything; `text` is how the help shows it. */
  readonly fallback: () => T;
  readonly text: string;
  readonly help: string;
  /** Never printed or logged. */
  readonly secret: boolean;
  readonly parse: (text: string) => T;
}

type Options<T> = Pick<SettingDefinition<T>, "flag" | "env" | "help"> & { text?: string; secret?: boolean };

function setting<T>(
  options: Options<T>,
  fallback: () => T,
  parse: (text: string) => T,
): SettingDefinition<T> {
  return { text: String(fallback() ?? "none"), secret: false, ...options, fallback, parse };
}

export function text(options: Options<string>, value: string): SettingDefinition<string> {
  return setting(options, () => value, nonEmpty);
}

export function optionalText(options: Options<string | null>): SettingDefinition<string | null> {
  return setting(options, (): string | null => null, nonEmpty);
}

function nonEmpty(value: string): string {
  if (value.trim() === "") throw new Error("it must not be empty");
  return value;
}

export function integer(
  options: Options<number>,
  fallback: number | (() => number),
  [least, most]: readonly [number, number],
): SettingDefinition<number> {
  return setting(options, typeof fallback === "function" ? fallback : () => fallback, (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < least || number > most) {
      throw new Error(`expected a whole number from ${least} to ${most}`);
    }
    return number;
  });
}

/** A whole number, or null for the word `auto` and when nothing is said. */
export function automaticInteger(
  options: Options<number | null>,
  range: readonly [number, number],
): SettingDefinition<number | null> {
  const { parse } = integer({ ...options, text: "" }, 0, range);
  return setting<number | null>(
    { text: "auto", ...options },
    () => null,
    (value) => (value.toLowerCase() === "auto" ? null : parse(value)),
  );
}

/** A port of a listener that one can do without. */
export interface OptionalPort {
  readonly port: number;
  /** Somebody asked for this very port; otherwise a taken one is no reason not to start. */
  readonly required: boolean;
}

/** A port, or null for the word `off`. */
export function optionalPort(
  options: Options<OptionalPort | null>,
  port: number,
): SettingDefinition<OptionalPort | null> {
  return setting<OptionalPort | null>(
    { text: String(port), ...options },
    () => ({ port, required: false }),
    (value) => {
      if (value.toLowerCase() === "off") return null;
      const number = Number(value);
      if (!/^\d+$/.test(value) || number > 65_535) {
        throw new Error("expected a whole number from 0 to 65535, or off");
      }
      return { port: number, required: true };
    },
  );
}

/** A port for something that has none of its own by default. */
export function separatePort(options: Options<number | null>): SettingDefinition<number | null> {
  return setting(
    options,
    (): number | null => null,
    (value) => {
      if (!/^\d+$/.test(value) || Number(value) > 65_535)
        throw new Error("expected a whole number from 0 to 65535");
      return Number(value);
    },
  );
}

export function choice<const T extends string>(
  options: Options<T>,
  value: NoInfer<T>,
  allowed: readonly T[],
): SettingDefinition<T> {
  return setting<T>(
    { ...options, help: `${options.help} (${allowed.join(", ")})` },
    () => value,
    (given) => {
      const found = allowed.find((candidate) => candidate === given);
      if (found === undefined) throw new Error(`expected one of ${allowed.join(", ")}`);
      return found;
    },
  );
}

export function toggle(options: Options<boolean>, value: boolean): SettingDefinition<boolean> {
  const words: Readonly<Record<string, boolean>> = {
    on: true,
    true: true,
    1: true,
    off: false,
    false: false,
    0: false,
  };
  return setting(
    { text: value ? "on" : "off", ...options },
    () => value,
    (given) => {
      const found = words[given.toLowerCase()];
      if (found === undefined) throw new Error("expected on or off");
      return found;
    },
  );
}

export function bytes(options: Options<number>, value: number, [least, most]: readonly [number, number]) {
  const units: Readonly<Record<string, number>> = { "": 1, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };
  return setting(
    { text: `${value / 2 ** 20} MiB`, ...options },
    () => value,
    (given) => {
      const match = /^(\d+)\s*([kmg]ib)?$/i.exec(given.trim());
      const number = match ? Number(match[1]) * units[(match[2] ?? "").toUpperCase()]! : NaN;
      if (!(number >= least && number <= most)) {
        throw new Error(
          `expected a size from ${least} bytes to ${most / 2 ** 20} MiB, such as 33554432 or 32MiB`,
        );
      }
      return number;
    },
  );
}
