/** What ONNX Runtime would tell its makers. */

/**
 * Turns off the usage reports that ONNX Runtime sends by default since 1.29, with an identifier and a cache that it writes
 * to the home folder: a server that guards models must not call home, and its file system may be read-only. The runtime
 * looks once, when its first session is made, at the environment of the process, which only the main thread can change.
 * A user who sets the variable keeps their value.
 */
export function silenceRuntime(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
}
