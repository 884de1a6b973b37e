/** What has just happened, and what went wrong, said where everybody sees and hears it. */
import { byId, h } from "./dom.ts";
import { describeFailure } from "./failures.ts";

const shownMs = 8_000;

/** Something worked, or happened. */
export function tell(text: string, kind: "good" | "warn" = "good"): void {
  const notice = h("div", { class: `notice ${kind}` }, h("p", {}, text));
  show(byId("notices"), notice);
  setTimeout(() => notice.remove(), shownMs);
}

/** Something went wrong: stays until somebody has read it. */
export function tellFailure(error: unknown): void {
  const { what, todo } = describeFailure(error);
  const notice = h(
    "div",
    { class: "notice bad" },
    h("p", {}, h("strong", {}, what), todo === null ? null : ` ${todo}`),
  );
  notice.append(
    h(
      "button",
      { type: "button", class: "close", "aria-label": "Dismiss", onclick: () => notice.remove() },
      "×",
    ),
  );
  show(byId("alerts"), notice);
}

/** Runs something that a person asked for; a failure is told, never lost. @returns whether it worked */
export async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    tellFailure(error);
    return false;
  }
}

const mostShown = 4;

function show(place: HTMLElement, notice: HTMLElement): void {
  place.append(notice);
  while (place.childElementCount > mostShown) place.firstElementChild?.remove();
}
