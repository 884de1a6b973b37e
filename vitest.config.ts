import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Tests that use ONNX Runtime directly must not make it report usage either.
    env: { ORT_DISABLE_TELEMETRY: "1" },
  },
});
