/** Parsers of option values; a wrong value is wrong usage. */
import { InvalidArgumentError } from "commander";

/** A share between 0 and 1, both excluded unless `inclusive`. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value < 1))
    throw new InvalidArgumentError("expected a number between 0 and 1, such as 0.02.");
  return value;
}

/** A share from 0 up to, but not including, 1. */
export function shareFromZero(text: string): number {
  return Number(text) === 0 && text.trim() !== "" ? 0 : share(text);
}

/** A whole number from 0. */
export function natural(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("expected a whole number from 0.");
  return value;
}

/** An http or https address. */
export function webAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new InvalidArgumentError("expected an address such as http://127.0.0.1:8080.");
  }
  return url;
}

/** A number from 0 up to and including `most`. */
export function rateArgument(text: string, most: number): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= most))
    throw new InvalidArgumentError(`expected a number from 0 to ${most}.`);
  return value;
}

/** A number of seconds above 0. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("expected a number of seconds.");
  return value;
}
