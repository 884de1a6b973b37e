/** Asks before anything changes, and why: the reason goes into the history. */
import { button, field, h } from "./dom.ts";

export interface Question {
  readonly title: string;
  /** What will happen, in a sentence or two. */
  readonly text: string;
  readonly action: string;
  readonly danger?: boolean;
  /** Whether a reason is asked for; default true. */
  readonly asksReason?: boolean;
  /** More fields; their values are read when the answer is yes. */
  readonly fields?: readonly HTMLElement[];
}

/** The reason that was given, perhaps empty, or null when the person thought better of it. */
export function ask({
  title,
  text,
  action,
  danger,
  asksReason = true,
  fields = [],
}: Question): Promise<string | null> {
  return new Promise((resolve) => {
    const reason = h("input", {
      type: "text",
      maxlength: 400,
      autocomplete: "off",
      placeholder: "why, in a few words",
    });
    const heading = h("h2", { id: "question" }, title);
    const form = h("form", { method: "dialog" }, heading, h("p", {}, text), ...fields);
    if (asksReason) form.append(field("Reason, for the history", reason));
    const dialog = h("dialog", { "aria-labelledby": "question" }, form);
    const close = (answer: string | null): void => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    form.append(
      h(
        "div",
        { class: "buttons end" },
        button("Cancel", () => close(null), "quiet"),
        h("button", { type: "submit", class: `button ${danger === true ? "danger" : "primary"}` }, action),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      close(reason.value.trim());
    });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(null);
    });
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector<HTMLElement>("input, select")?.focus();
  });
}
