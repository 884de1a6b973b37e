/** Slows guessing down: an address that sends wrong tokens has none looked at any more for a while. */

/** Addresses remembered: those that failed last. */
const mostAddresses = 4096;

export class FailedTokens {
  readonly #perMinute: number;
  readonly #clock: () => number;
  /** Failures by address, as a bucket that empties by `perMinute` a minute. */
  readonly #buckets = new Map<string, { readonly level: number; readonly at: number }>();

  /**
   * @param perMinute failures of one address that are let pass a minute
   * @param clock milliseconds on a clock that does not go back
   */
  constructor(perMinute: number, clock: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /** Whether tokens of the address are looked at now. */
  allows(address: string): boolean {
    return this.#level(networkOf(address)) < this.#perMinute;
  }

  failed(address: string): void {
    const network = networkOf(address);
    const level = Math.min(this.#perMinute, this.#level(network) + 1);
    // Put at the end again, so that the first is the one that failed longest ago.
    this.#buckets.delete(network);
    this.#buckets.set(network, { level, at: this.#clock() });
    if (this.#buckets.size <= mostAddresses) return;
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      return;
    }
  }

  #level(network: string): number {
    const bucket = this.#buckets.get(network);
    if (bucket === undefined) return 0;
    const level = bucket.level - ((this.#clock() - bucket.at) / 60_000) * this.#perMinute;
    // A little less than a whole failure counts as none: it takes a moment to look.
    return Math.max(0, Math.ceil(level - 1e-3));
  }
}

/** An IPv4 address, or the /64 network of an IPv6 address: whoever has one of its addresses has them all. */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  return [...front, ...Array.from({ length: zeros }, () => "0"), ...back].slice(0, 4).join(":");
}
