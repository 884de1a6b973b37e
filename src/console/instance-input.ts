/** Where a person puts an instance in: a picture, a text, a row, or numbers; by the model's task. */
import type { TableColumn, TaskKind, TryOut } from "./api-types.ts";
import { button, field, h } from "./dom.ts";
import { base64Of, pictureUrl } from "./files.ts";
import { tellFailure } from "./notices.ts";

export interface InstanceInput {
  readonly element: HTMLElement;
  /** What is in it now, or null when there is nothing. @throws Error in words */
  read(): unknown;
  write(instance: unknown): void;
}

/** @param changed called when a whole new instance is there */
export function instanceInput(task: TaskKind, { columns }: TryOut, changed: () => void): InstanceInput {
  switch (task) {
    case "image-classification":
      return pictureInput(changed);
    case "text-classification":
      return textInput(
        "Text",
        4,
        (text) => text,
        (instance) => String(instance),
      );
    case "tabular-classification":
      if (columns !== null) return rowInput(columns);
      return numbersInput();
    case "tensor":
      return numbersInput();
  }
}

function pictureInput(changed: () => void): InstanceInput {
  let instance: unknown = null;
  const file = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp",
    class: "hidden-file",
    id: "try-picture",
  });
  const preview = h("img", { alt: "", class: "preview", hidden: true });
  const drop = h(
    "label",
    { for: "try-picture", class: "drop" },
    preview,
    h("span", {}, h("strong", {}, "Choose a picture"), " or drop one here"),
  );
  const input: InstanceInput = {
    element: h("div", { class: "picture-input" }, file, drop),
    read: () => instance,
    write: (given) => {
      instance = given;
      const base64 = (given as { b64?: string }).b64 ?? "";
      preview.src = pictureUrl(base64);
      preview.hidden = false;
      changed();
    },
  };
  const take = async (picture: File | undefined): Promise<void> => {
    if (picture === undefined) return;
    input.write({ b64: await base64Of(picture) });
  };
  const taken = (picture: File | undefined): void => void take(picture).catch(tellFailure);
  file.addEventListener("change", () => taken(file.files?.[0]));
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    taken(event.dataTransfer?.files[0]);
  });
  return input;
}

function textInput(
  label: string,
  rows: number,
  parse: (text: string) => unknown,
  show: (instance: unknown) => string,
): InstanceInput {
  const area = h("textarea", { rows, spellcheck: "false" });
  return {
    element: field(label, area),
    read: () => (area.value.trim() === "" ? null : parse(area.value)),
    write: (instance) => {
      area.value = show(instance);
    },
  };
}

function numbersInput(): InstanceInput {
  const parse = (text: string): unknown => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new Error(
        "The instance is not JSON: write it as it is posted to :predict, e.g. [[0.1, 0.2], [0.3, 0.4]].",
      );
    }
  };
  return textInput("Instance as JSON", 8, parse, (instance) => JSON.stringify(instance));
}

function rowInput(columns: readonly TableColumn[]): InstanceInput {
  const controls = columns.map(({ name, kind, categories = [] }) => {
    const control =
      kind === "category"
        ? h("select", {}, ...categories.map((category) => h("option", { value: category }, category)))
        : h("input", { type: "number", step: "any", value: 0 });
    return { name, kind, control };
  });
  return {
    element: h("div", { class: "row-form" }, ...controls.map(({ name, control }) => field(name, control))),
    read: () =>
      Object.fromEntries(
        controls.map(({ name, kind, control }) => {
          if (control.value === "") throw new Error(`${name}: a value is missing.`);
          return [name, kind === "number" ? Number(control.value) : control.value];
        }),
      ),
    write: (instance) => {
      controls.forEach(({ name, kind, control }, i) => {
        const given = (instance as Readonly<Record<string | number, string | number>>)[
          Array.isArray(instance) ? i : name
        ];
        const category = typeof given === "number" ? columns[i]!.categories?.[given] : undefined;
        if (given !== undefined) control.value = String(kind === "category" ? (category ?? given) : given);
      });
    },
  };
}

/** The samples that come with the model, one click each. */
export function sampleButtons({ samples }: TryOut, choose: (instance: unknown) => void): HTMLElement | null {
  if (samples.length === 0) return null;
  return h(
    "div",
    { class: "samples", role: "group", "aria-label": "Samples that come with the model" },
    ...samples.map(({ name, instance }) => {
      const base64 = (instance as { b64?: string } | null)?.b64;
      const chosen = button(name, () => choose(instance), "plain");
      if (base64 !== undefined) chosen.prepend(h("img", { src: pictureUrl(base64), alt: "" }));
      return chosen;
    }),
  );
}
