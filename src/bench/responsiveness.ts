/** How fast health and metrics answer over HTTP while one long inference runs. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { composeServer } from "../compose.ts";
import { resolveSettings } from "../settings.ts";
import { randomVit, vitSmall } from "../test/random-vit.ts";
import { median, quantile } from "./statistics.ts";

export interface Responsiveness {
  readonly path: string;
  readonly "inference ms": number;
  readonly answers: number;
  readonly "median ms": number;
  readonly "largest ms": number;
}

/** Serves a ViT-S from `scratch`, keeps it busy with a batch that takes about a second, and asks for health and metrics. */
export async function measureResponsiveness(scratch: string): Promise<Responsiveness[]> {
  const models = join(scratch, "models");
  mkdirSync(join(models, "vit-s"), { recursive: true });
  writeFileSync(join(models, "vit-s", "model.onnx"), randomVit(vitSmall));
  const settings = resolveSettings(
    { models, state: join(scratch, "state"), port: "0", workers: "1", threads: "1", logLevel: "silent" },
    {},
  );
  const server = await composeServer(settings);
  try {
    const origin = await server.app.listen({ host: "127.0.0.1", port: 0 });
    const batch = 12;
    const shape = [batch, 3, vitSmall.image, vitSmall.image];
    const count = shape.reduce((product, dim) => product * dim, 1);
    const body = JSON.stringify({
      inputs: [
        { name: "pixel_values", datatype: "FP32", shape, data: Array.from({ length: count }, () => 0.5) },
      ],
    });
    const rows: Responsiveness[] = [];
    for (const path of ["/v2/health/live", "/metrics"]) {
      const times: number[] = [];
      let running = true;
      const began = performance.now();
      const inference = fetch(`${origin}/v2/models/vit-s/infer`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      }).then(async (response) => {
        running = false;
        if (!response.ok) throw new Error(`inference failed: ${await response.text()}`);
        return Number(/infer;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "")?.[1] ?? NaN);
      });
      // Reading the large JSON body is the event loop's own work; the inference starts after it.
      while (
        running &&
        server.services.models.fallback.engine.queued === 0 &&
        performance.now() - began < 600
      ) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      while (running) {
        const asked = performance.now();
        await (await fetch(origin + path)).text();
        if (running) times.push(performance.now() - asked);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      rows.push({
        path,
        "inference ms": Math.round(await inference),
        answers: times.length,
        "median ms": Number(median(times).toFixed(2)),
        "largest ms": Number(quantile(times, 1).toFixed(2)),
      });
    }
    return rows;
  } finally {
    await server.app.close();
    await server.close();
  }
}
