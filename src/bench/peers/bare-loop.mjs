// Runs the model over and over in a process of its own, without a server. Each order is a number of seconds.
import * as ort from "onnxruntime-node";

const types = { FP32: "float32", INT64: "int64" };
process.once("message", async ({ path, threads, inputs, output }) => {
  const session = await ort.InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, { datatype, shape, data }]) => [
      name,
      new ort.Tensor(types[datatype], data, shape),
    ]),
  );
  const answer = await session.run(feeds);
  process.on("message", async (seconds) => {
    const latencies = [];
    const began = performance.now();
    while (performance.now() - began < seconds * 1000) {
      const asked = performance.now();
      await session.run(feeds);
      latencies.push(performance.now() - asked);
    }
    process.send({ seconds: (performance.now() - began) / 1000, outcomes: { run: latencies } });
  });
  process.send(Array.from(answer[output].data));
});
process.on("disconnect", () => process.exit(0));
