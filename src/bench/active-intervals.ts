/** Which detectors may have been active during a request, as far as its caller can know. */

interface Interval {
  readonly detector: string;
  /** When its activation was sent. */
  readonly from: number;
  /** When the activation of the next one was acknowledged. */
  to: number;
}

export class ActiveIntervals {
  readonly #intervals: Interval[] = [];

  /** An activation is sent: from now on the detector may be active. */
  begin(detector: string, now: number): void {
    this.#intervals.push({ detector, from: now, to: Infinity });
  }

  /** The newest activation was acknowledged: what was active before it is so no more. */
  acknowledge(now: number): void {
    for (const interval of this.#intervals.slice(0, -1)) interval.to = Math.min(interval.to, now);
  }

  /** Detectors that were or may have been active at some moment from `start` to `end`. */
  during(start: number, end: number): Set<string> {
    return new Set(
      this.#intervals.filter(({ from, to }) => from <= end && to >= start).map(({ detector }) => detector),
    );
  }
}
