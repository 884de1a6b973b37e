/** Traces by OpenTelemetry. Loaded only when they are wanted. */
import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type TextMapGetter,
  type TextMapSetter,
  type Tracer,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type SpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { ServerTrace, TracedPart, TraceEnd, Tracing } from "../service/trace.ts";
import type { TraceProtocol } from "./wanted.ts";

type Headers = Parameters<Tracing["begin"]>[0];

const fromHeaders: TextMapGetter<Headers> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, name) => headers[name],
};
const intoHeaders: TextMapSetter<Record<string, string>> = {
  set: (headers, name, value) => (headers[name] = value),
};

export interface OtelOptions {
  readonly version: string;
  readonly processor: SpanProcessor;
}

/** Delivers over OTLP to where the environment says; `warn` is told when that fails. */
export function otlpTracing(
  protocol: TraceProtocol,
  { version, warn }: { readonly version: string; readonly warn: (message: string) => void },
): Tracing {
  const quiet = (): void => {};
  const told = (message: string): void => warn(`traces: ${message.slice(0, 200)}`);
  diag.setLogger(
    { error: told, warn: told, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const exporter = protocol === "http/json" ? new JsonExporter() : new ProtobufExporter();
  return new OtelTracing({ version, processor: new BatchSpanProcessor(exporter) });
}

export class OtelTracing implements Tracing {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;
  readonly #propagator = new W3CTraceContextPropagator();

  constructor({ version, processor }: OtelOptions) {
    const own = resourceFromAttributes({ "service.name": "atpatch", "service.version": version });
    const resource = defaultResource()
      .merge(own)
      .merge(detectResources({ detectors: [envDetector] }));
    this.#provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
    this.#tracer = this.#provider.getTracer("atpatch", version);
  }

  begin(headers: Headers, startedAt: number): ServerTrace {
    const parent = this.#propagator.extract(ROOT_CONTEXT, headers, fromHeaders);
    const options = { kind: SpanKind.SERVER, startTime: epoch(startedAt) };
    const span = this.#tracer.startSpan("request", options, parent);
    return new OtelTrace(this.#tracer, span, trace.setSpan(parent, span), this.#propagator);
  }

  close(): Promise<void> {
    return this.#provider.shutdown();
  }
}

class OtelTrace implements ServerTrace {
  readonly traceparent: string;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;

  constructor(tracer: Tracer, span: Span, context: Context, propagator: W3CTraceContextPropagator) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = context;
    const carrier: Record<string, string> = {};
    propagator.inject(context, carrier, intoHeaders);
    this.traceparent = carrier["traceparent"]!;
  }

  part(name: TracedPart, milliseconds: number, agoMs = 0): void {
    const end = performance.now() - agoMs;
    this.#tracer.startSpan(name, { startTime: epoch(end - milliseconds) }, this.#context).end(epoch(end));
  }

  end({ name, attributes, failed }: TraceEnd): void {
    this.#span.updateName(name).setAttributes(attributes);
    if (failed) this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end(epoch(performance.now()));
  }
}

/** Milliseconds since 1970 of a moment on the `performance.now()` clock. */
function epoch(moment: number): number {
  return performance.timeOrigin + moment;
}
