/** What happens when a detector does not work: found at upload, or answered by policy while serving. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { markDetector, tinySample, type MarkDetectorOptions } from "../test/tiny-model.ts";
import { tinyServer, type TinyServer } from "../test/tiny-server.ts";

// Starting a runtime takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let server: TinyServer;
beforeAll(async () => {
  server = await tinyServer({ anyLength: true });
});
afterAll(() => server.close());

const change = { actor: "test" };
const upload = (options: MarkDetectorOptions) =>
  server.model.registry.upload(markDetector(server.model.engine.description, options), change);

describe("the self-test", () => {
  it("counts flagged samples, and finds the others untouched", async () => {
    // Made-up inputs lie between 0 and 1, so a few of their tokens carry such a mark.
    const { report } = await upload({ threshold: 0.9 });
    expect(report).toMatchObject({ ran: true, samples: 4 });
    expect(report["flagged"]).toBeGreaterThan(0);
    expect((report["flagged"] as number) + (report["identical"] as number)).toBe(4);
  });

  it.each<[string, MarkDetectorOptions, string]>([
    ["does not fit the graph", { width: 2 }, "the model does not run with it"],
    [
      "makes an answer infinite",
      { threshold: 0.1, value: [3e38, 3e38], attention: { ratio: 10, most: 0.99 } },
      'output "logits" is not finite',
    ],
  ])("refuses a detector that %s, and stores nothing", async (_what, options, message) => {
    const before = await server.model.registry.list();
    const error = await upload(options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AtPatchError);
    expect(error).toMatchObject({ code: "ATPATCH_SELF_TEST", message: expect.stringContaining(message) });
    expect(await server.model.registry.list()).toEqual(before);
  });
});

describe("a detector that fails while serving", () => {
  // Bound to 3 tokens, which the self-test gives it; a flagged sample of 5 tokens breaks it.
  const predict = () =>
    server.app.inject({ method: "POST", url: "/predict", payload: { instances: [tinySample({ 3: 8 })] } });

  it("lets the unpatched answer out under onError open, and says so", async () => {
    const { id } = await upload({ keys: 3 });
    await server.model.registry.activate(id, change);
    const answer = await predict();
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json<{ predictions: object[] }>().predictions[0]).toMatchObject({
      label: "wild",
      atpatch: { mode: "off", triggered: false, failed_open: true, columns: [] },
    });
    const { body } = await server.app.inject("/metrics");
    expect(body).toContain('atpatch_failed_open_total{model="tiny"} 1');
  });

  it("answers with the failure under onError closed", async () => {
    await server.model.registry.setPolicy({ onError: "closed" }, change);
    const answer = await predict();
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([422, "ATPATCH_UNPROCESSABLE"]);
  });
});
