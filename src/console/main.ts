/** The operator's page: asks for a token, then shows the models and what can be done with them. */
import { Api } from "./api.ts";
import type { LiveEvent } from "./api-types.ts";
import { DetectorsPanel } from "./detectors-panel.ts";
import { byId, fill, h } from "./dom.ts";
import { describeFailure } from "./failures.ts";
import { shortId } from "./format.ts";
import { HistoryPanel } from "./history-panel.ts";
import { listen } from "./live.ts";
import { attempt, tell, tellFailure } from "./notices.ts";
import { OverviewPanel } from "./overview-panel.ts";
import { PolicyPanel } from "./policy-panel.ts";
import { RecordingsPanel } from "./recordings-panel.ts";
import { RepairPanel } from "./repair-panel.ts";
import { installTheme } from "./theme.ts";
import { TryPanel } from "./try-panel.ts";
import { Workbench, type View } from "./workbench.ts";

installTheme(byId("theme") as HTMLButtonElement);
byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void signIn(byId("token") as HTMLInputElement);
});

async function signIn(input: HTMLInputElement): Promise<void> {
  const api = new Api(input.value.trim());
  const problem = byId("sign-in-problem");
  problem.textContent = "";
  try {
    const models = await api.models();
    input.value = "";
    await open(
      api,
      models.map(({ model }) => model),
    );
  } catch (error) {
    const { what, todo } = describeFailure(error);
    problem.textContent = `${what} ${todo ?? ""}`;
    input.focus();
  }
}

async function open(api: Api, names: readonly string[]): Promise<void> {
  // A reload, or a link somebody was given, shows the same model.
  const wanted = new URLSearchParams(location.search).get("model");
  const first = names.find((name) => name === wanted) ?? names[0];
  if (first === undefined) throw new Error("the server serves no model");
  const bench = new Workbench(api, first, draw);
  const overview = new OverviewPanel(bench);
  const tryIt = new TryPanel(bench);
  const panels = [
    overview,
    new DetectorsPanel(bench),
    new PolicyPanel(bench),
    tryIt,
    new RecordingsPanel(bench, (instance) => void tryIt.take(instance)),
    new RepairPanel(bench),
    new HistoryPanel(),
  ];
  function draw(view: View): void {
    drawState(view);
    for (const panel of panels) panel.update(view);
  }
  byId("panels").replaceChildren(...panels.map(({ element }) => element));
  const picker = byId("model") as HTMLSelectElement;
  picker.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
  picker.value = first;
  const until = new AbortController();
  const { signal } = until;
  const choose = (): void => {
    history.replaceState(null, "", `?model=${encodeURIComponent(picker.value)}`);
    void attempt(() => bench.choose(picker.value));
  };
  picker.addEventListener("change", choose, { signal });
  await bench.refresh();
  show(true);

  const close = listen(api, {
    connected: (is) => {
      const state = byId("connection");
      state.dataset["state"] = is ? "live" : "lost";
      state.textContent = is ? "live" : "reconnecting";
      if (is) void attempt(() => bench.refresh());
    },
    event: (event) => {
      overview.heard(event);
      bench.heard(event);
      announce(event, bench.name);
    },
    refused: (failure) => {
      tellFailure(failure);
      leave();
    },
  });
  const leave = (): void => {
    until.abort();
    close();
    overview.close();
    byId("panels").replaceChildren();
    show(false);
  };
  byId("sign-out").addEventListener("click", leave, { signal });
}

function drawState({ model }: View): void {
  const { active, policy, ready } = model;
  fill(byId("state"), [active, policy.mode, ready], () => [
    h("span", { class: `badge ${ready ? "active" : "failing"}` }, ready ? "ready" : "not ready"),
    h("span", { class: `badge mode-${policy.mode}` }, policy.mode),
    h("span", {}, "detector ", h("code", { title: active ?? "" }, shortId(active))),
  ]);
}

/** Says what others, or the server itself, have done. */
function announce({ name, data }: LiveEvent, model: string): void {
  if (data["model"] !== model) return;
  if (name === "guard")
    tell("The guard has rolled the detector back by itself. The history says why.", "warn");
  if (name === "repair" && data["state"] === "done")
    tell(`The repair has made detector ${shortId(String(data["detector"]))}.`);
  if (name === "repair" && data["state"] === "failed")
    tell("The repair has ended without a detector; it says why.", "warn");
}

function show(signedIn: boolean): void {
  byId("sign-in").hidden = signedIn;
  byId("app").hidden = !signedIn;
  for (const element of document.querySelectorAll<HTMLElement>(".signed-in")) element.hidden = !signedIn;
  if (signedIn) byId("panels").focus();
  else byId("token").focus();
}
