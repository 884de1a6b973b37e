/** Several requests as one run, and its outcome given back to each of them. Pure. */
import { mapReport } from "../shared/site-report.ts";
import { joinArrays, type Tensor, type TypedArray } from "../shared/tensor.ts";
import type { AxisFlags, RunRequest } from "./engine.ts";
import type { RunOutcome } from "./protocol.ts";
import { isBatchFirst } from "./slice.ts";

/**
 * Requests with equal keys fit into one run: same detector, outputs and reports, and samples of the same shape. Modes and
 * forced columns may differ from sample to sample.
 */
export function mergeKey({ inputs, detector, force = {}, outputs, report, attention }: RunRequest): string {
  const shapes = Object.entries(inputs).map(([name, { shape }]) => [name, shape.slice(1)]);
  const forced = Object.entries(force).map(([axis, { datatype, shape }]) => [axis, datatype, shape[1]]);
  return JSON.stringify([detector, shapes, forced, outputs, report, attention]);
}

/** One request with the samples of all, in their order; they must have the same {@link mergeKey}. */
export function mergeRequests(requests: readonly RunRequest[]): RunRequest {
  const first = requests[0]!;
  if (requests.length === 1) return first;
  const batch = requests.reduce((sum, request) => sum + request.batch, 0);
  const merge = (of: (request: RunRequest) => Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(
      Object.keys(of(first)).map((name) => [
        name,
        joinSamples(
          requests.map((request) => of(request)[name]!),
          batch,
        ),
      ]),
    );
  return {
    ...first,
    batch,
    inputs: merge(({ inputs }) => inputs),
    modes: joinArrays(requests.map(({ modes }) => modes)),
    ...(first.force && { force: merge(({ force }) => force!) }),
  };
}

/**
 * What each request gets of the outcome of {@link mergeRequests}: views on it, no copies.
 * @param batches samples of each request, in order
 * @returns null when an output does not count the samples in its first dimension, so that it cannot be divided
 */
export function splitOutcome(outcome: RunOutcome, batches: readonly number[]): RunOutcome[] | null {
  const batch = batches.reduce((sum, samples) => sum + samples, 0);
  if (!Object.values(outcome.outputs).every((output) => isBatchFirst(output, batch))) return null;
  let start = 0;
  return batches.map((samples) => {
    const from = start;
    start += samples;
    const part = <A extends TypedArray>(data: A): A => {
      const stride = data.length / batch;
      return data.subarray(from * stride, (from + samples) * stride) as A;
    };
    return {
      ...outcome,
      outputs: Object.fromEntries(
        Object.entries(outcome.outputs).map(([name, { datatype, shape, data }]) => [
          name,
          { datatype, shape: [samples, ...shape.slice(1)], data: part(data) },
        ]),
      ),
      flags: outcome.flags.map((axis): AxisFlags => ({
        ...axis,
        firstSite: part(axis.firstSite),
        score: part(axis.score),
      })),
      rechecked: outcome.rechecked
        .filter((sample) => sample >= from && sample < from + samples)
        .map((sample) => sample - from),
      ...(outcome.reports && {
        reports: outcome.reports.map((report) => mapReport(report, part)),
      }),
    };
  });
}

function joinSamples(tensors: readonly Tensor[], batch: number): Tensor {
  const { datatype, shape } = tensors[0]!;
  return {
    datatype,
    shape: [batch, ...shape.slice(1)],
    data: joinArrays(tensors.map(({ data }) => data)),
  };
}
