/**
 * The detector's network over one window of K key columns: K·F standardised features → C1 → C2 → 1, ReLU between.
 * Slid along the key axis it is the op's convolution (`hotfix/detect.ts`): kernel K, then two kernels of 1.
 * Plain typed arrays in double precision; the loops are arranged for speed (two windows and four channels at a time).
 */
import type { Random } from "./random.ts";

export const channels1 = 32;
export const channels2 = 16;

/** Trainable numbers; also the form of their gradients and of the optimiser's moments. */
export interface Network {
  /** K·F, the length of one window. */
  readonly inputs: number;
  /** [inputs][C1] */
  readonly weight1: Float64Array;
  readonly bias1: Float64Array;
  /** [C1][C2] */
  readonly weight2: Float64Array;
  readonly bias2: Float64Array;
  /** [C2] */
  readonly weight3: Float64Array;
  readonly bias3: Float64Array;
}

/** Activations of one forward pass, kept for the backward pass; reused from batch to batch. */
export interface Activations {
  readonly hidden1: Float64Array;
  readonly hidden2: Float64Array;
  readonly logits: Float64Array;
}

export function zeroNetwork(inputs: number): Network {
  return {
    inputs,
    weight1: new Float64Array(inputs * channels1),
    bias1: new Float64Array(channels1),
    weight2: new Float64Array(channels1 * channels2),
    bias2: new Float64Array(channels2),
    weight3: new Float64Array(channels2),
    bias3: new Float64Array(1),
  };
}

/** Uniform He initialisation (He et al., ICCV 2015); the last layer starts small, biases at 0. */
export function randomNetwork(inputs: number, random: Random): Network {
  const network = zeroNetwork(inputs);
  const fill = (weights: Float64Array, bound: number): void => {
    for (let i = 0; i < weights.length; i++) weights[i] = (2 * random.uniform() - 1) * bound;
  };
  fill(network.weight1, Math.sqrt(6 / inputs));
  fill(network.weight2, Math.sqrt(6 / channels1));
  fill(network.weight3, Math.sqrt(1 / channels2));
  return network;
}

/** The arrays of a network in a fixed order. */
export function parameters(network: Network): Float64Array[] {
  const { weight1, bias1, weight2, bias2, weight3, bias3 } = network;
  return [weight1, bias1, weight2, bias2, weight3, bias3];
}

/** Room for batches of up to `windows` windows. */
export function activationsFor(windows: number): Activations {
  return {
    hidden1: new Float64Array(windows * channels1),
    hidden2: new Float64Array(windows * channels2),
    logits: new Float64Array(windows),
  };
}

/** Logits of `windows` windows x [windows][inputs], into `out.logits`. */
export function forward(network: Network, x: Float32Array, windows: number, out: Activations): void {
  dense(x, network.inputs, network.weight1, network.bias1, channels1, windows, out.hidden1);
  dense(out.hidden1, channels1, network.weight2, network.bias2, channels2, windows, out.hidden2);
  const [w3, bias] = [network.weight3, network.bias3[0] as number];
  for (let n = 0; n < windows; n++) {
    let logit = bias;
    for (let c = 0; c < channels2; c++)
      logit += (out.hidden2[n * channels2 + c] as number) * (w3[c] as number);
    out.logits[n] = logit;
  }
}

/**
 * Gradients of Σ_n slope[n]·logit[n], added to `gradient`. Destroys the hidden activations.
 * @param slope derivative of the loss by each logit, [windows]
 */
export function backward(
  network: Network,
  x: Float32Array,
  windows: number,
  activations: Activations,
  slope: Float64Array,
  gradient: Network,
): void {
  const { hidden1, hidden2 } = activations;
  for (let n = 0; n < windows; n++) {
    const s = slope[n] as number;
    gradient.bias3[0]! += s;
    for (let c = 0; c < channels2; c++) {
      const at = n * channels2 + c;
      const h = hidden2[at] as number;
      gradient.weight3[c]! += s * h;
      hidden2[at] = h > 0 ? s * (network.weight3[c] as number) : 0;
    }
  }
  // hidden2 now holds the slopes of layer 2's sums; hidden1 is still needed as its input.
  outer(hidden1, channels1, hidden2, channels2, windows, gradient.weight2, gradient.bias2);
  for (let n = 0; n < windows; n++) {
    for (let i = 0; i < channels1; i++) {
      const at = n * channels1 + i;
      if ((hidden1[at] as number) <= 0) continue;
      let total = 0;
      for (let c = 0; c < channels2; c++) {
        total += (hidden2[n * channels2 + c] as number) * (network.weight2[i * channels2 + c] as number);
      }
      hidden1[at] = total;
    }
  }
  outer(x, network.inputs, hidden1, channels1, windows, gradient.weight1, gradient.bias1);
}

/** out = relu(x·w + b) for x [windows][inputs], w [inputs][outputs]; `outputs` a multiple of 4. */
function dense(
  x: Float32Array | Float64Array,
  inputs: number,
  w: Float64Array,
  b: Float64Array,
  outputs: number,
  windows: number,
  out: Float64Array,
): void {
  for (let n = 0; n < windows; n += 2) {
    const [row0, row1] = [n * inputs, Math.min(n + 1, windows - 1) * inputs];
    const [out0, out1] = [n * outputs, Math.min(n + 1, windows - 1) * outputs];
    for (let c = 0; c < outputs; c += 4) {
      let a0 = b[c] as number;
      let a1 = b[c + 1] as number;
      let a2 = b[c + 2] as number;
      let a3 = b[c + 3] as number;
      let e0 = a0;
      let e1 = a1;
      let e2 = a2;
      let e3 = a3;
      let at = c;
      for (let i = 0; i < inputs; i++) {
        const w0 = w[at] as number;
        const w1 = w[at + 1] as number;
        const w2 = w[at + 2] as number;
        const w3 = w[at + 3] as number;
        const x0 = x[row0 + i] as number;
        const x1 = x[row1 + i] as number;
        a0 += x0 * w0;
        a1 += x0 * w1;
        a2 += x0 * w2;
        a3 += x0 * w3;
        e0 += x1 * w0;
        e1 += x1 * w1;
        e2 += x1 * w2;
        e3 += x1 * w3;
        at += outputs;
      }
      out[out0 + c] = a0 > 0 ? a0 : 0;
      out[out0 + c + 1] = a1 > 0 ? a1 : 0;
      out[out0 + c + 2] = a2 > 0 ? a2 : 0;
      out[out0 + c + 3] = a3 > 0 ? a3 : 0;
      out[out1 + c] = e0 > 0 ? e0 : 0;
      out[out1 + c + 1] = e1 > 0 ? e1 : 0;
      out[out1 + c + 2] = e2 > 0 ? e2 : 0;
      out[out1 + c + 3] = e3 > 0 ? e3 : 0;
    }
  }
}

/** w += xᵀ·d and b += Σ d for x [windows][inputs], d [windows][outputs]; `outputs` a multiple of 4. */
function outer(
  x: Float32Array | Float64Array,
  inputs: number,
  d: Float64Array,
  outputs: number,
  windows: number,
  w: Float64Array,
  b: Float64Array,
): void {
  for (let n = 0; n < windows; n += 2) {
    const row0 = n * inputs;
    const paired = n + 1 < windows;
    const row1 = paired ? row0 + inputs : row0;
    for (let c = 0; c < outputs; c += 4) {
      const at = n * outputs + c;
      const d0 = d[at] as number;
      const d1 = d[at + 1] as number;
      const d2 = d[at + 2] as number;
      const d3 = d[at + 3] as number;
      const e0 = paired ? (d[at + outputs] as number) : 0;
      const e1 = paired ? (d[at + outputs + 1] as number) : 0;
      const e2 = paired ? (d[at + outputs + 2] as number) : 0;
      const e3 = paired ? (d[at + outputs + 3] as number) : 0;
      b[c]! += d0 + e0;
      b[c + 1]! += d1 + e1;
      b[c + 2]! += d2 + e2;
      b[c + 3]! += d3 + e3;
      let to = c;
      for (let i = 0; i < inputs; i++) {
        const x0 = x[row0 + i] as number;
        const x1 = x[row1 + i] as number;
        w[to] = (w[to] as number) + x0 * d0 + x1 * e0;
        w[to + 1] = (w[to + 1] as number) + x0 * d1 + x1 * e1;
        w[to + 2] = (w[to + 2] as number) + x0 * d2 + x1 * e2;
        w[to + 3] = (w[to + 3] as number) + x0 * d3 + x1 * e3;
        to += outputs;
      }
    }
  }
}
