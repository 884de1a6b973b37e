// Entry of a worker thread when the sources themselves run: Node versions that cannot read TypeScript get tsx's loader.
if (!process.features.typescript) {
  const { register } = await import("tsx/esm/api");
  register();
}
await import("./worker.ts");
