import type { DetectorHost } from "../detector/published.ts";

/** A host that keeps published detectors in memory; each operation can be made to wait or to fail. */
export class MemoryHost implements DetectorHost {
  /** Ids the host has now. */
  readonly published = new Set<string>();
  /** Every call, e.g. "publish sha256-…". */
  readonly calls: string[] = [];
  /** Called at the start of each operation; may wait and may throw. */
  before: (operation: "publish" | "retire" | "selfTest", id: string) => Promise<void> | void = () => {};

  async publish(id: string): Promise<void> {
    this.calls.push(`publish ${id}`);
    await this.before("publish", id);
    this.published.add(id);
  }

  async retire(id: string): Promise<void> {
    this.calls.push(`retire ${id}`);
    await this.before("retire", id);
    this.published.delete(id);
  }

  async selfTest(id: string): Promise<Record<string, unknown>> {
    this.calls.push(`selfTest ${id}`);
    await this.before("selfTest", id);
    if (!this.published.has(id)) throw new Error("self-test of a detector that is not published");
    return { finite: true };
  }
}
