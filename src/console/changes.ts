/** What an operator can change, each after a question; the revision that was seen goes along. */
import type { Mode, Policy } from "./api-types.ts";
import { ask } from "./confirm.ts";
import { field, h } from "./dom.ts";
import { shortId } from "./format.ts";
import { tell } from "./notices.ts";
import type { Workbench } from "./workbench.ts";

export async function activate(bench: Workbench, id: string | null): Promise<void> {
  const name = bench.name;
  const reason = await ask({
    title: id === null ? `Serve ${name} without a detector?` : `Activate ${shortId(id)}?`,
    text:
      id === null
        ? "Requests that start from now on are answered by the bare model. A rollback brings the present detector back."
        : `Every request to ${name} that starts from now on uses this detector. Those running finish on theirs.`,
    action: id === null ? "Take it out" : "Activate",
    danger: id === null,
  });
  if (reason === null) return;
  const worked = await bench.act(() => bench.api.activate(name, id, reason, revision(bench)));
  if (!worked) return;
  tell(id === null ? "No detector is active now." : `Detector ${shortId(id)} is active.`);
  await endTrial(bench, id);
}

/** A detector that every request gets needs no shadow and no canary of itself. */
async function endTrial(bench: Workbench, id: string | null): Promise<void> {
  const { shadow: shadowed = null, canary: share = null } = bench.view?.model.policy ?? {};
  const patch = {
    ...(id !== null && shadowed === id && { shadow: null }),
    ...(id !== null && share?.detector === id && { canary: null }),
  };
  if (Object.keys(patch).length === 0) return;
  await bench.act(() => bench.api.setPolicy(bench.name, patch, "it is active now", revision(bench)));
}

export async function rollBack(bench: Workbench): Promise<void> {
  const { name } = bench;
  const previous = bench.view?.model.previous ?? null;
  const reason = await ask({
    title: "Roll back?",
    text: `${name} goes back to detector ${shortId(previous)}, for every request that starts from now on.`,
    action: "Roll back",
    danger: true,
  });
  if (reason === null) return;
  const worked = await bench.act(() => bench.api.rollback(name, reason, revision(bench)));
  if (worked) tell(`Rolled back to ${shortId(previous)}.`, "warn");
}

export async function shadow(bench: Workbench, id: string | null): Promise<void> {
  await change(
    bench,
    { shadow: id },
    {
      title: id === null ? "Stop the shadow?" : `Shadow with ${shortId(id)}?`,
      text:
        id === null
          ? "The agreement table starts anew when a shadow is set again."
          : "It scores the same requests beside the active detector and changes no answer.",
      action: id === null ? "Stop" : "Start the shadow",
    },
  );
}

export async function canary(bench: Workbench, id: string | null): Promise<void> {
  if (id === null) {
    await change(
      bench,
      { canary: null },
      {
        title: "End the canary?",
        text: "Every request gets the active detector again.",
        action: "End it",
      },
    );
    return;
  }
  const percent = h("input", { type: "number", min: 1, max: 100, step: 1, value: 10, required: true });
  await change(bench, () => ({ canary: { detector: id, percent: Number(percent.value) } }), {
    title: `Canary with ${shortId(id)}?`,
    text: "A share of the requests is answered with it; a client that names itself always gets the same detector.",
    action: "Start the canary",
    fields: [field("Percent of requests", percent)],
  });
}

const modeText: Readonly<Record<Mode, string>> = {
  off: "Nothing is computed: every request gets the bare model's answer.",
  observe: "Flags are reported, answers are not changed.",
  enforce: "Flagged columns are repaired.",
};

export async function setMode(bench: Workbench, mode: Mode): Promise<void> {
  await change(
    bench,
    { mode },
    {
      title: `Set the mode to ${mode}?`,
      text: modeText[mode],
      action: `Set to ${mode}`,
      danger: mode === "off",
    },
  );
}

export async function setOnError(bench: Workbench, onError: Policy["onError"]): Promise<void> {
  await change(
    bench,
    { onError },
    {
      title: onError === "open" ? "Answer unpatched when detection fails?" : "Refuse when detection fails?",
      text:
        onError === "open"
          ? "A request whose detection fails gets the unpatched answer."
          : "A request whose detection fails gets an error instead of an unpatched answer.",
      action: onError === "open" ? "Fail open" : "Fail closed",
    },
  );
}

export async function setGuard(bench: Workbench, guard: Policy["guard"]): Promise<void> {
  await change(
    bench,
    { guard },
    {
      title: guard === null ? "Take the guard away?" : "Set the guard?",
      text:
        guard === null
          ? "Nothing is rolled back by itself any more."
          : "Beyond a limit the detector is rolled back by itself, and the history says why.",
      action: guard === null ? "Take it away" : "Set the guard",
      danger: guard === null,
    },
  );
}

export async function removeDetector(bench: Workbench, id: string): Promise<void> {
  const { name } = bench;
  const sure = await ask({
    title: `Remove ${shortId(id)}?`,
    text: "The bundle is deleted from the store. Download it first if you may want it back.",
    action: "Remove",
    danger: true,
    asksReason: false,
  });
  if (sure === null) return;
  const worked = await bench.act(() => bench.api.remove(name, id, revision(bench)));
  if (worked) tell(`Detector ${shortId(id)} is removed.`);
}

async function change(
  bench: Workbench,
  patch: object | (() => object),
  question: Parameters<typeof ask>[0],
): Promise<void> {
  const { name } = bench;
  const reason = await ask(question);
  if (reason === null) return;
  const fields = typeof patch === "function" ? (patch as () => object)() : patch;
  if (await bench.act(() => bench.api.setPolicy(name, fields, reason, revision(bench))))
    tell("The policy holds.");
}

/** What the person has seen: the server refuses when somebody else was faster. */
function revision(bench: Workbench): number {
  return bench.view?.model.revision ?? 0;
}
