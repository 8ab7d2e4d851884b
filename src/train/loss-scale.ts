/**
 * Loss scaling (P. Micikevicius et al., arXiv 1710.03740, §3.2), dynamic: in float16 gradients are those of a loss
 * times a power of two, which keeps small ones from becoming 0. Where one of them is not finite, the optimiser does
 * not act and the scale is halved; after so many steps without it is doubled. The scale is state like any other, under
 * `loss_scale.…`: a resumed run goes on with it. In float32 nothing of this is there.
 */

import * as tf from '@tensorflow/tfjs-core';
import { last, only, picked } from '../base/lookup.js';
import { float32, type HostTensors } from '../base/tensor.js';
import type { Precision, Specs, Tensors } from '../engine/device.js';
import { under } from '../nn/params.js';
import { clipByGlobalNorm } from './optimizer.js';

const FIRST = 2 ** 16;
const HIGHEST = 2 ** 24;
/** Good steps before the scale is doubled, as in NVIDIA's and PyTorch's scalers. */
export const GROWS_AFTER = 2000;
/** Finite numbers are smaller. */
const BOUND = 3e38;

const scalar = { shape: [], dtype: 'float32' } as const;

export interface Scaled {
  /** Of the loss itself, clipped; all 0 where one was not finite. */
  readonly grads: Tensors;
  /** Before clipping. */
  readonly norm: tf.Tensor;
  /** Scalar, 1 or 0: whether the optimiser acts; left out, it always does. */
  readonly acts?: tf.Tensor;
  /** Steps in which it acted, this one included if it does. */
  readonly step: tf.Tensor;
  readonly state: Tensors;
  /** `loss_scale`, and whether the update is `skipped` (1 or 0); by these names behind the prefix. */
  readonly outputs: Tensors;
}

export interface LossScaling {
  readonly state: Specs;
  /** What gradients are to be multiplied by: `valueAndGradsOf`'s third argument. */
  of(state: Tensors): tf.Tensor | undefined;
  /**
   * From gradients times the scale to what the optimiser takes.
   *
   * @param o.step 1-based
   * @param o.last of micro-batches: 1 where the optimiser acts
   */
  settle(grads: Tensors, state: Tensors, o: { clip: number; step: tf.Tensor; last?: tf.Tensor }): Scaled;
}

/** @param prefix before the names of the state: each optimiser has a scale of its own */
export function lossScaling(precision: Precision, prefix = ''): LossScaling {
  if (precision !== 'f16') {
    return {
      state: {},
      of: () => undefined,
      settle: (grads, _, { clip, step, last }) => ({
        ...clipByGlobalNorm(grads, clip),
        ...{ acts: last, step, state: {}, outputs: {} },
      }),
    };
  }
  const name = (part: string): string => `${prefix}loss_scale.${part}`;
  return {
    state: { [name('value')]: scalar, [name('good')]: scalar, [name('skipped')]: scalar },
    of: (state) => state[name('value')],
    settle(grads, state, { clip, step, last }) {
      const before = picked(under(`${prefix}loss_scale`, state), ['value', 'good', 'skipped']);
      const { value: scale, good, skipped } = before;
      const clipped = clipByGlobalNorm(grads, clip, scale);
      const finite = tf.less(clipped.norm, BOUND);
      const entries = Object.entries(clipped.grads);
      const safe = entries.map(([key, grad]) => [key, tf.where(finite, grad, tf.zerosLike(grad))]);

      const row = tf.add(good, 1);
      const grows = tf.greaterEqual(row, GROWS_AFTER);
      const raised = tf.where(grows, tf.minimum(tf.mul(scale, 2), HIGHEST), scale);
      const next = {
        value: tf.where(finite, raised, tf.mul(scale, 0.5)),
        good: tf.where(finite, tf.where(grows, tf.scalar(0), row), tf.scalar(0)),
        skipped: tf.where(finite, skipped, tf.add(skipped, 1)),
      };
      const ends = last && tf.greater(last, 0);
      const after = Object.entries(next).map(([part, tensor]) => [
        name(part),
        ends ? tf.where(ends, tensor, before[part as keyof typeof before]) : tensor,
      ]);
      const acts = tf.cast(finite, 'float32');
      return {
        grads: Object.fromEntries(safe),
        norm: clipped.norm,
        acts: last ? tf.mul(acts, last) : acts,
        step: tf.maximum(1, tf.sub(step, skipped)),
        state: Object.fromEntries(after),
        outputs: { [`${prefix}loss_scale`]: tf.clone(scale), [`${prefix}skipped`]: tf.sub(1, acts) },
      };
    },
  };
}

/** What a step's outputs say of loss scaling: of its micro-batches only the last decides. */
export function scaleValues(outputs: readonly HostTensors[]): Record<string, number> {
  const names = ['loss_scale', 'skipped', 'disc_loss_scale', 'disc_skipped'];
  const entries = Object.entries(last(outputs)).filter(([name]) => names.includes(name));
  return Object.fromEntries(entries.map(([name, { data }]) => [name, only(data)]));
}

/**
 * Whether a name in a checkpoint belongs to loss scaling: a run may go on in another precision than it was saved in.
 */
export const isLossScale = (name: string): boolean => /^(disc_)?loss_scale\./.test(name);

/** The state before the first step, of those of the names that are of loss scaling. */
export function firstScale(state: Specs): HostTensors {
  const names = Object.keys(state).filter(isLossScale);
  return Object.fromEntries(
    names.map((name) => [name, float32([], Float32Array.of(name.endsWith('.value') ? FIRST : 0))]),
  );
}
