/** The state that is carried along one key axis: made at its first site, handed from site to site, returned at the end. */
import { hotfixNames, modeCodes } from "../shared/patched-model.ts";
import { DataType } from "../onnx/model.ts";
import type { Carried } from "./detect.ts";
import type { Emitter } from "../onnx/emitter.ts";

export interface AxisState {
  readonly axis: number;
  /** int32 [B'] mode per canonical row: per sample, or repeated per window. */
  readonly mode: string;
  readonly carried: Carried;
}

/**
 * State before the first site of an axis: forced columns are flagged in samples that are not off.
 * @param map canonical map [B',H,Tq,Tk] of that site
 * @param mode int32 [B]
 */
export function emitInitialState(
  e: Emitter,
  axis: number,
  site: number,
  map: string,
  mode: string,
  windows: boolean,
): AxisState {
  const force = hotfixNames.force(axis);
  const samples = e.dim(mode, 0);
  const keys = e.dim(map, 3);
  const rows = e.dim(map, 0);
  const rowMode = windows ? emitRepeatedMode(e, mode, samples, rows) : mode;

  // The mode of the sample where a column is forced, else 0.
  const forced = e.op("Mul", [e.cast(force, DataType.INT32), e.unsqueeze(mode, [1])]);
  const repair = e.greater(e.reduce("ReduceMax", forced, null), e.int32(modeCodes.observe));
  const flagged = e.cast(e.greater(forced, e.int32(0)), DataType.INT32);
  const numbered = site === 0 ? flagged : e.op("Mul", [flagged, e.int32(site + 1)]);
  const perSample = windows ? e.op("Mul", [keys, e.op("Div", [rows, samples])]) : keys;
  const perColumn = e.concat([samples, perSample], 0);
  const expanded = e.expand(numbered, perColumn);
  const perRow = windows ? e.concat([rows, keys], 0) : perColumn;
  const flags = windows ? e.op("Reshape", [expanded, perRow]) : expanded;
  const scores = e.expand(e.reshape(e.float(0), [1, 1]), perRow);
  return { axis, mode: rowMode, carried: { flags, scores, repair } };
}

/** What is reported of an axis: flags and scores per sample [B, T], windows of a sample one after the other. */
export type Reported = Pick<Carried, "flags" | "scores">;

/** @param outputs names for the results; new ones when absent */
export function emitReported(e: Emitter, state: AxisState, mode: string, outputs?: Reported): Reported {
  if (state.mode === mode) {
    return {
      flags: e.op("Identity", [state.carried.flags], {}, outputs?.flags),
      scores: e.op("Identity", [state.carried.scores], {}, outputs?.scores),
    };
  }
  const shape = e.concat([e.dim(mode, 0), e.int([-1])], 0);
  return {
    flags: e.op("Reshape", [state.carried.flags, shape], {}, outputs?.flags),
    scores: e.op("Reshape", [state.carried.scores, shape], {}, outputs?.scores),
  };
}

/** [B] → [B·nW], every sample's mode nW times. */
function emitRepeatedMode(e: Emitter, mode: string, samples: string, rows: string): string {
  const windows = e.op("Div", [rows, samples]);
  const spread = e.expand(e.unsqueeze(mode, [1]), e.concat([samples, windows], 0));
  return e.reshape(spread, [-1]);
}
