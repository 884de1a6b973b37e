// Entry of the scoring thread when the sources themselves run: Node versions that cannot read TypeScript get tsx's loader.
import process from "node:process";

// oxlint-disable-next-line typescript/no-unsafe-member-access -- plain JavaScript, outside the typed project
if (!process.features.typescript) {
  const { register } = await import("tsx/esm/api");
  register();
}
await import("./shadow-worker.ts");
