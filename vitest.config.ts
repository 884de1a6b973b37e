import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Tests that use ONNX Runtime directly must not make it report usage either.
    env: { ORT_DISABLE_TELEMETRY: "1" },
    // A busy machine must not fail a test that only waits for a process or a session to start.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
