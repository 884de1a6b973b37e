/**
 * `npm run console`: drives the operator's page in a real browser through a whole incident, from a wrong answer to a
 * rollback; takes pictures of it, and fails on accessibility faults, violations of the content policy and script errors.
 */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { ConsolePage } from "./console-page.ts";
import { ConsoleServer, failingBundle } from "./console-server.ts";

const options = new Command("console")
  .description(
    "Drive the console through an incident in headless Chromium (CHROMIUM names it, or /usr/bin/chromium).",
  )
  .option("--out <dir>", "folder for the pictures", join(tmpdir(), "atpatch-console"))
  .option("--port <n>", "port of the server", Number, 18111)
  .option("--clean <n>", "clean requests before the repair", Number, 240)
  .option("--failing <n>", "failing requests before the repair", Number, 40)
  .parse()
  .opts<{ out: string; port: number; clean: number; failing: number }>();

mkdirSync(options.out, { recursive: true });
const started = performance.now();
const server = await ConsoleServer.start(options.port);
try {
  const page = await ConsolePage.open(server, options.out);
  try {
    await incident(page);
    await otherModels(page);
    page.settle();
  } catch (error) {
    await page.picture("failure");
    console.log(page.faults.join("\n"));
    throw error;
  } finally {
    await page.close();
  }
} finally {
  await server.stop();
}

function say(text: string): void {
  console.log(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${text}`);
}

async function incident(page: ConsolePage): Promise<void> {
  await page.check("sign-in");
  await page.signIn("wrong-token");
  await page.sees("#sign-in-problem", "not known");
  await page.signIn(server.token);
  await page.select("#model", "gtsrb-vit");
  await page.sees("#state", "enforce");
  say("signed in");

  // The detector in place is one that has never seen this trigger.
  const blind = await server.upload(await failingBundle());
  await page.press(`[data-detector="${blind}"] >> text=Activate`, "Activate", "the first detector");
  await page.sees(".detector.is-active", blind.slice(7, 15));

  await page.click("#try >> text=stop stamped");
  await page.sees('[data-side="after"]', "Speed limit (20km/h)");
  await page.picture("wrong-answer");
  await page.click("text=This answer is wrong…");
  await page.select("dialog select", "Stop");
  await page.check("mark-as-wrong");
  await page.click("dialog >> text=Mark as wrong");
  await page.sees("#recordings", "wrong, is Stop");
  say("a wrong answer is marked");

  const failing = await server.send(options.clean, options.failing);
  // One was marked in the page, the rest as a support tool would.
  await page.click("#recordings >> text=Refresh");
  await page.sees("#repair", "1 failing");
  await server.mark(failing);
  await page.sees("#repair", `${failing.length + 1} failing`);
  say(`${failing.length} of ${options.failing + options.clean} more requests are marked`);

  const quiet = await server.latency(50);
  await page.click("#repair >> text=Start the repair");
  await page.sees("#repair .job", "Running");
  await page.sees('#repair [role="progressbar"]', "");
  await page.waitFor(
    () => server.repairStage(),
    (stage) => stage !== "starting",
  );
  await page.picture("repair-running");
  const busy = await server.latency(50);
  say(`a request takes ${quiet.toFixed(1)} ms, ${busy.toFixed(1)} ms while the repair runs`);
  const detector = await page.waitFor(
    () => server.repaired(),
    (id) => id !== null,
    600_000,
  );
  await page.sees("#repair .job", "Done");
  say(`the repair has made ${detector!.slice(7, 15)}`);

  await page.press("#repair >> text=Shadow it", "Start the shadow", "look first");
  await server.send(20, 20);
  await page.waitFor(
    () => server.shadowed(),
    (samples) => samples >= 30,
  );
  await page.reload();
  await page.sees("#policy .agreement", "not shadow");
  await page.check("shadow");
  const before = await page.triggerRate();
  say("the shadow agrees on clean requests and finds the others");

  await page.press("#policy >> text=Activate the shadow", "Activate", "it finds the stamp");
  await page.sees(".detector.is-active", detector!.slice(7, 15));
  await page.rateMoves(
    () => server.send(10, 30),
    (rate) => rate > before + 40,
  );
  await page.click("#try >> text=stop stamped");
  await page.sees('[data-side="after"]', "triggered");
  await page.sees('[data-side="after"] .answer-label', "Stop");
  await page.check("repaired");
  say("the trigger rate has moved, the answer is right");

  await page.press("#detectors >> text=Roll back", "Roll back", "only a rehearsal");
  await page.sees(".detector.is-active", blind.slice(7, 15));
  await page.sees("#history", "rolled back from");
  await page.sees("#history .chain", "chain verified");
  await page.rateMoves(
    () => server.send(10, 30),
    (rate) => rate < 5,
  );
  await page.check("rolled-back");
  await page.keyboard();
  say("rolled back, with the history to show for it");
  await policies(page, blind, detector!);
}

async function policies(page: ConsolePage, blind: string, detector: string): Promise<void> {
  await page.press("#policy .segments input[value=observe]", "Set to observe", "watch only");
  await page.sees("#state", "observe");
  await page.press("#policy .segments input[value=enforce]", "Set to enforce", "watched enough");
  await page.sees("#state", "enforce");

  await page.press(`[data-detector="${detector}"] >> text=Canary…`, "Start the canary", "a few first");
  await page.sees("#policy", "10 % of the requests");
  await page.press("#policy >> text=End the canary", "End it", "seen enough");
  await page.sees("#policy", "None. Every request gets the active detector.");

  await page.click("#policy >> text=Set limits");
  await page.press("#policy form button[type=submit]", "Set the guard", "no more than a fifth");
  await page.sees("#policy", "armed");
  await page.press(`[data-detector="${detector}"] >> text=Activate`, "Activate", "under guard");
  await page.sees(".detector.is-active", detector.slice(7, 15));
  await server.send(0, 30);
  await page.sees("#notices", "The guard has rolled the detector back by itself");
  await page.sees(".detector.is-active", blind.slice(7, 15));
  await page.sees("#policy", "has acted");
  await page.check("guard");
  say("mode, canary and guard: the guard has rolled back what triggers too often");
}

async function otherModels(page: ConsolePage): Promise<void> {
  await page.select("#model", "sst2-bert");
  await page.click("#try >> text=triggered 1");
  await page.sees('[data-side="after"]', "triggered");
  await page.check("text");
  await page.select("#model", "adult-ft");
  await page.click("#try >> text=women 1");
  await page.sees('[data-side="after"] .attention-bars', "age");
  await page.check("row");
  await page.narrow();
  say("texts and rows can be tried out too");
}
