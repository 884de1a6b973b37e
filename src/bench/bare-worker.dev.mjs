// Entry of the worker thread: Node versions that cannot read TypeScript get tsx's loader.
if (!process.features.typescript) {
  const { register } = await import("tsx/esm/api");
  register();
}
await import("./bare-worker.ts");
