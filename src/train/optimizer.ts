/**
 * Adam and AdamW as pure functions in the graph: parameters, gradients and moments are flat records of tensors,
 * step and learning rate are tensors, and nothing is kept between calls.
 *
 * D. Kingma and J. Ba, arXiv 1412.6980, algorithm 1; decoupled decay: I. Loshchilov and F. Hutter, arXiv 1711.05101.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry } from '../base/lookup.js';
import type { Specs, Tensors } from '../engine/device.js';

export interface AdamOptions {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** Decoupled decay (AdamW) of the parameters that `decays` names; 0 is Adam. */
  readonly weightDecay: number;
  readonly decays: (name: string) => boolean;
  /** Scalar, 1 or 0: whether the update takes place; left out, it always does. */
  readonly acts?: tf.Tensor;
}

const moment = (prefix: string, which: 'm' | 'v', name: string) => `${prefix}.${which}.${name}`;

/** The moments' names and shapes: `adam.m.<name>` and `adam.v.<name>`; they start at zero. */
export function adamSpecs(params: Specs, prefix = 'adam'): Specs {
  const specs: Specs = {};
  for (const [name, spec] of Object.entries(params)) {
    specs[moment(prefix, 'm', name)] = spec;
    specs[moment(prefix, 'v', name)] = spec;
  }
  return specs;
}

/**
 * One update of every parameter; the result's `state` holds exactly the names of `adamSpecs(params, prefix)`.
 * Where `o.acts` is 0 parameters and moments come back as they were, to the bit.
 *
 * With c₁ = 1 − β₁ᵗ and c₂ = 1 − β₂ᵗ the published p − lr · (m/c₁) / (√(v/c₂) + ε) is computed as
 * p − (lr·√c₂/c₁) · m / (√v + ε·√c₂): the corrections touch scalars only.
 *
 * @param lr scalar
 * @param step scalar float, 1 at the first update
 */
export function adamStep(
  params: Tensors,
  grads: Tensors,
  state: Tensors,
  lr: tf.Tensor,
  step: tf.Tensor,
  o: AdamOptions,
  prefix = 'adam',
): { params: Tensors; state: Tensors } {
  const [beta1, beta2] = o.betas;
  const { acts } = o;
  const given = acts ? tf.mul(lr, acts) : lr;
  const correction1 = tf.sub(1, tf.pow(beta1, step));
  const root2 = tf.sqrt(tf.sub(1, tf.pow(beta2, step)));
  const rate = tf.div(tf.mul(given, root2), correction1);
  const epsilon = tf.mul(root2, o.epsilon);
  const kept = tf.sub(1, tf.mul(given, o.weightDecay));

  const updated: Tensors = {};
  const moments: Tensors = {};
  for (const [name, param] of Object.entries(params)) {
    const grad = entry(grads, name);
    const m = blend(entry(state, moment(prefix, 'm', name)), grad, beta1, acts);
    const v = blend(entry(state, moment(prefix, 'v', name)), tf.square(grad), beta2, acts);
    const change = tf.mul(rate, tf.div(m, tf.add(tf.sqrt(v), epsilon)));
    const start = o.weightDecay > 0 && o.decays(name) ? tf.mul(param, kept) : param;
    updated[name] = tf.sub(start, change);
    moments[moment(prefix, 'm', name)] = m;
    moments[moment(prefix, 'v', name)] = v;
  }
  return { params: updated, state: moments };
}

/**
 * Scales all gradients by one factor so that their common L2 norm is at most `max`; `max` 0 leaves them as they are.
 * `norm` is the norm before clipping.
 *
 * @param scale what `grads` were multiplied by, a scalar: results are without it
 */
export function clipByGlobalNorm(
  grads: Tensors,
  max: number,
  scale?: tf.Tensor,
): { grads: Tensors; norm: tf.Tensor } {
  const squares = Object.values(grads).map((g) => tf.sum(tf.square(g)));
  const length = tf.sqrt(tf.addN(squares));
  const norm = scale ? tf.div(length, scale) : length;
  if (max === 0 && !scale) return { grads, norm };
  const clip = max > 0 ? tf.minimum(1, tf.div(max, tf.add(norm, 1e-6))) : tf.scalar(1);
  const factor = scale ? tf.div(clip, scale) : clip;
  return { grads: mapTensors(grads, (g) => tf.mul(g, factor)), norm };
}

/**
 * Running average of parameters: decay · average + (1 − decay) · parameter; the average as it was where `acts` is 0.
 */
export function emaStep(
  average: Tensors,
  params: Tensors,
  decay: tf.Tensor | number,
  acts?: tf.Tensor,
): Tensors {
  return mapTensors(average, (a, name) => blend(a, entry(params, name), decay, acts));
}

function blend(old: tf.Tensor, fresh: tf.Tensor, decay: tf.Tensor | number, acts?: tf.Tensor): tf.Tensor {
  const rest = () => (typeof decay === 'number' ? 1 - decay : tf.sub(1, decay));
  if (!acts) return tf.add(tf.mul(old, decay), tf.mul(fresh, rest()));
  const weight = tf.mul(acts, rest());
  return tf.add(tf.mul(old, tf.sub(1, weight)), tf.mul(fresh, weight));
}

function mapTensors(tensors: Tensors, f: (t: tf.Tensor, name: string) => tf.Tensor): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, f(t, name)]));
}
