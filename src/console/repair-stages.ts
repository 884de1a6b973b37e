/** The stages of a repair, in order. Pure. */

export const stages = ["collect", "average", "localise", "choose", "fit", "check", "store"] as const;

/** Position of what the server says among them, e.g. "choosing: site 0"; -1 before the first. */
export function stageIndex(stage: string): number {
  // "collecting", "averaging", "localising", "choosing: …", "fitting", "checking", "storing"
  const stem = stage.toLowerCase().slice(0, 4);
  return stages.findIndex((name) => name.slice(0, 4) === stem || (name === "fit" && stem === "fitt"));
}

/** How much of the whole is done, each stage counting the same; a stage without steps counts as half done. */
export function fractionOf(stage: string, done: number, all: number): number {
  const at = stageIndex(stage);
  if (at < 0) return 0;
  return (at + (all > 0 ? done / all : 0.5)) / stages.length;
}
