/** Servers that take turns under load. Who is not asked stands still. */
import { createBareCall } from "./bare-call.ts";
import type { Call } from "./call.ts";
import { preparePython, versions } from "./environment.ts";
import { addRound, newFigures, type Figures } from "./figures.ts";
import { createGrpcCall } from "./grpc-call.ts";
import { createHttpCall } from "./http-call.ts";
import { atpatch, bare, entryName, type Form, type Peer } from "./lineup.ts";
import type { Question } from "./question.ts";
import type { ServerProcess } from "./server-process.ts";
import { checkDetector, startAtPatch, startPeer, type Conditions, type Started } from "./start.ts";

export interface Load {
  /** Requests in flight. */
  readonly connections: number;
  /** Time of a turn, and of the load before it that does not count. */
  readonly seconds: number;
  readonly warmUp: number;
  /** Time of load before the first turn: a server that has just started is not yet compiled to the end. */
  readonly settle: number;
}

interface Entry {
  readonly call: Call;
  /** Null for what needs no pause. */
  readonly server: ServerProcess | null;
  readonly figures: Figures;
}

/** Scores of the same model and runtime differ by rounding alone. */
const tolerance = 1e-3;

export class Contest {
  readonly #question: Question;
  readonly #conditions: Conditions;
  readonly #load: Load;
  readonly #servers: ServerProcess[] = [];
  readonly #calls: Call[] = [];
  readonly #entries: Entry[] = [];
  readonly #ended = new AbortController();
  /** Scores of the bare model. */
  #expected: readonly number[] = [];
  /** What cannot be measured, with the reason. */
  readonly missing: string[] = [];

  constructor(question: Question, conditions: Conditions, load: Load) {
    this.#question = question;
    this.#conditions = conditions;
    this.#load = load;
  }

  get figures(): readonly Figures[] {
    return this.#entries.map(({ figures }) => figures);
  }

  /** Adds the bare runtime, which comes first: everybody's answers are held against its own. */
  async addBare(): Promise<void> {
    const call = createBareCall(this.#question, this.#conditions.threads);
    this.#calls.push(call);
    this.#expected = await call.once();
    await this.#enter(bare, call, null);
  }

  /** Adds the product, from folder `models`. @throws Error when it cannot be asked */
  async addAtPatch(models: string): Promise<void> {
    const started = await startAtPatch(models, this.#question, this.#conditions);
    await this.#ready(started, atpatch.readyPath);
    await checkDetector(started, this.#question.model);
    await this.#addForms(atpatch.name, atpatch.forms, started);
  }

  /**
   * Adds another server.
   * @param environments folder of the Python environments
   * @returns versions of what it is made of; null when it cannot be measured here
   */
  async addPeer(peer: Peer, environments: string): Promise<string | null> {
    try {
      const python = await preparePython(environments, peer.key, this.#ended.signal);
      const started = await startPeer(peer, python, this.#question, this.#conditions);
      await this.#ready(started, peer.readyPath);
      await this.#addForms(peer.name, peer.forms, started);
      return await versions(python, peer.packages);
    } catch (error) {
      this.#miss(peer.name, error);
      return null;
    }
  }

  /** A turn for everybody; each round begins with another one. */
  async round(index: number): Promise<void> {
    const { connections, seconds, warmUp } = this.#load;
    for (let turn = 0; turn < this.#entries.length; turn++) {
      const { call, server, figures } = this.#entries[(turn + index) % this.#entries.length]!;
      server?.resume();
      await call.load(connections, warmUp);
      const before = server?.timeMs() ?? NaN;
      const result = await call.load(connections, seconds);
      addRound(figures, result, call.good, (server?.timeMs() ?? NaN) - before);
      server?.pause();
      const perSecond = Math.round(figures.perSecond.at(-1)!);
      process.stderr.write(`round ${index + 1}: ${figures.name} ${perSecond} requests/s\n`);
    }
  }

  /** Ends everything that was started. */
  async end(): Promise<void> {
    this.#ended.abort();
    await Promise.all([...this.#servers, ...this.#calls].map((running) => running.end()));
  }

  /** Ends the servers at once, without waiting. */
  kill(): void {
    for (const server of this.#servers) server.kill();
  }

  async #ready({ server, ports }: Started, path: string): Promise<void> {
    this.#servers.push(server);
    try {
      await server.ready(`http://127.0.0.1:${ports.http}${path}`);
    } catch (error) {
      await server.end();
      throw error;
    }
  }

  async #addForms(name: string, forms: readonly Form[], { server, ports }: Started): Promise<void> {
    for (const form of forms) {
      const call =
        form === "grpc"
          ? await createGrpcCall(ports.grpc, this.#question)
          : createHttpCall(form, ports.http, this.#question);
      this.#calls.push(call);
      try {
        await this.#enter(entryName(name, form), call, server);
      } catch (error) {
        this.#miss(entryName(name, form), error);
      }
    }
    server.pause();
  }

  /** Checks the first answer and lets the server reach its usual speed. */
  async #enter(name: string, call: Call, server: ServerProcess | null): Promise<void> {
    const scores = await call.once();
    const furthest = Math.max(
      ...this.#expected.map((score, index) => Math.abs(score - (scores[index] ?? NaN))),
    );
    if (!(furthest <= tolerance)) {
      throw new Error(`answers class ${best(scores)}, the bare model ${best(this.#expected)}`);
    }
    await call.load(this.#load.connections, this.#load.settle);
    this.#entries.push({ call, server, figures: newFigures(name) });
    process.stderr.write(`${name} is ready\n`);
  }

  #miss(name: string, error: unknown): void {
    this.missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.stderr.write(`without ${this.missing.at(-1)}\n`);
  }
}

function best(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}
