/**
 * Takes a detector out by itself when it flags too much or changes too many labels: the active one is rolled back to the
 * one before it (to none when there was none), a canary loses its share.
 *
 * It acts once for every activation that somebody else made. What it went back to may be over the limit as well, when it
 * is the traffic that has changed; going on from there would swap to and fro, or leave the model without any patch.
 */
import { defaultMinSamples, type GuardLimits } from "../detector/policy.ts";
import type { Change, DetectorRegistry, RegistryEvent } from "../detector/registry.ts";
import { messageOf } from "../shared/errors.ts";
import type { EventBus } from "./events.ts";
import type { GuardObserver } from "./observer.ts";
import { SlidingWindow } from "./sliding-window.ts";
import { stopwatch } from "./timings.ts";

/** Who the guard is in the history; no token may have the name. */
export const guardActor = "guard";

export type GuardedRole = "active" | "canary";
export type GuardReason = "trigger_rate" | "label_flip_rate";

/** Samples that a detector has answered. */
export interface GuardedSamples {
  readonly detector: string;
  readonly role: GuardedRole;
  readonly samples: number;
  readonly triggered: number;
}

/** Triggered samples that were run once more without the patch. */
export interface CheckedSamples {
  readonly detector: string;
  readonly role: GuardedRole;
  readonly checked: number;
  readonly flipped: number;
}

/** What the guard sees of one detector. */
export interface GuardFigures {
  readonly detector: string;
  readonly samples: number;
  /** Null without samples. */
  readonly trigger_rate: number | null;
  readonly checked: number;
  /** Estimated share of all samples whose label the patch changes: trigger rate times flipped / checked. */
  readonly label_flip_rate: number | null;
}

export interface GuardState {
  /** False once it has acted, until somebody activates a detector or sets the guard anew. */
  readonly armed: boolean;
  readonly active: GuardFigures | null;
  readonly canary: GuardFigures | null;
}

export interface GuardOptions {
  readonly registry: DetectorRegistry;
  readonly events: EventBus;
  readonly observer: GuardObserver;
  readonly warn?: (message: string) => void;
  /** Milliseconds on a clock that does not go back. */
  readonly clock?: () => number;
}

type Counts = "samples" | "triggered" | "checked" | "flipped";
interface Watched {
  readonly detector: string;
  readonly window: SlidingWindow<Counts>;
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #clock: () => number;
  readonly #watched = new Map<GuardedRole, Watched>();
  #armed = true;
  #acting = false;

  private constructor(options: GuardOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** Takes up from the history whether it has acted already. */
  static async open(options: GuardOptions): Promise<Guard> {
    const guard = new Guard(options);
    const entries = await options.registry.history({ limit: 1000 });
    for (const entry of entries.reverse()) guard.#learn(entry);
    options.registry.subscribe(({ entry }) => guard.#learn(entry));
    return guard;
  }

  /** Limits that hold now, or null. */
  get limits(): GuardLimits | null {
    return this.#options.registry.snapshot().policy.guard;
  }

  /** Whether labels are to be compared with and without the patch. */
  get checksFlips(): boolean {
    return this.limits?.max_label_flip_rate !== undefined && this.#armed;
  }

  get state(): GuardState | null {
    if (this.limits === null) return null;
    return { armed: this.#armed, active: this.#figures("active"), canary: this.#figures("canary") };
  }

  answered({ detector, role, samples, triggered }: GuardedSamples): void {
    this.#count(role, detector, { samples, triggered });
  }

  checked({ detector, role, checked, flipped }: CheckedSamples): void {
    this.#count(role, detector, { checked, flipped });
  }

  #count(role: GuardedRole, detector: string, counts: Partial<Record<Counts, number>>): void {
    const { limits } = this;
    if (limits === null || !this.#holds(role, detector)) return;
    let watched = this.#watched.get(role);
    if (watched?.detector !== detector) {
      const names: readonly Counts[] = ["samples", "triggered", "checked", "flipped"];
      watched = { detector, window: new SlidingWindow(names, limits.window_s * 1000) };
      this.#watched.set(role, watched);
    }
    watched.window.add(counts, this.#clock());
    const reason = this.#acting ? null : this.#excess(role, limits);
    if (reason !== null && (role === "canary" || this.#armed)) void this.#act(role, reason, limits);
  }

  /** A request that began before a swap ends after it: its detector is watched no more. */
  #holds(role: GuardedRole, detector: string): boolean {
    const { active, policy } = this.#options.registry.snapshot();
    return detector === (role === "active" ? active : policy.canary?.detector);
  }

  #figures(role: GuardedRole): GuardFigures | null {
    const watched = this.#watched.get(role);
    if (watched === undefined) return null;
    const { samples, triggered, checked, flipped } = watched.window.sums(this.#clock());
    const rate = samples === 0 ? null : triggered / samples;
    const flips = rate === null || checked === 0 ? null : rate * (flipped / checked);
    return { detector: watched.detector, samples, trigger_rate: rate, checked, label_flip_rate: flips };
  }

  #excess(role: GuardedRole, limits: GuardLimits): GuardReason | null {
    const figures = this.#figures(role);
    const least = limits.min_samples ?? defaultMinSamples;
    if (figures === null || figures.samples < least) return null;
    const { trigger_rate: triggers, label_flip_rate: flips, checked } = figures;
    if ((triggers ?? 0) > (limits.max_trigger_rate ?? 1)) return "trigger_rate";
    if (checked >= least && (flips ?? 0) > (limits.max_label_flip_rate ?? 1)) return "label_flip_rate";
    return null;
  }

  async #act(role: GuardedRole, reason: GuardReason, limits: GuardLimits): Promise<void> {
    const { registry, events, observer, warn } = this.#options;
    const figures = this.#figures(role)!;
    const before = registry.snapshot();
    const limit = reason === "trigger_rate" ? limits.max_trigger_rate! : limits.max_label_flip_rate!;
    const change = {
      actor: guardActor,
      reason: reasonText(role, reason, figures, limit, limits),
      ifMatch: before.revision,
    };
    const elapsed = stopwatch();
    this.#acting = true;
    try {
      const after = await takeOut(registry, role, change);
      this.#watched.delete(role);
      if (role === "active") observer.swapped(before.model, "ok", elapsed());
      observer.guarded(before.model, reason);
      events.publish("guard", {
        model: before.model,
        role,
        now: role === "active" ? after.active : null,
        cause: reason,
        limit,
        window_s: limits.window_s,
        ...figures,
        reason: change.reason,
        revision: after.revision,
      });
    } catch (error) {
      // Somebody else changed the model at the same moment: the next sample decides anew.
      warn?.(`the guard could not act: ${messageOf(error)}`);
    } finally {
      this.#acting = false;
    }
  }

  #learn({ action, actor, before, after }: RegistryEvent["entry"]): void {
    const swapped = action === "activated" || action === "rolled_back";
    const limited = JSON.stringify(before.policy.guard) !== JSON.stringify(after.policy.guard);
    if (swapped) this.#watched.delete("active");
    if (limited) this.#watched.clear();
    if (after.policy.canary?.detector !== before.policy.canary?.detector) this.#watched.delete("canary");
    if (actor === guardActor) this.#armed &&= !swapped;
    else if (swapped || limited) this.#armed = true;
  }
}

/** The previous detector may be none: then the model goes back to having none. */
function takeOut(registry: DetectorRegistry, role: GuardedRole, change: Change) {
  if (role === "canary") return registry.setPolicy({ canary: null }, change);
  return registry.snapshot().previous === null ? registry.activate(null, change) : registry.rollback(change);
}

function reasonText(
  role: GuardedRole,
  reason: GuardReason,
  { samples, trigger_rate: triggers, label_flip_rate: flips, checked }: GuardFigures,
  limit: number,
  { window_s: seconds }: GuardLimits,
): string {
  const percent = (share: number | null): string => `${(100 * (share ?? 0)).toFixed(1)} %`;
  const what =
    reason === "trigger_rate"
      ? `flagged ${percent(triggers)} of ${samples} samples`
      : `changed the label of ${percent(flips)} of ${samples} samples (${checked} checked)`;
  return `the ${role} detector ${what} within ${seconds} s; the limit is ${percent(limit)}`;
}
