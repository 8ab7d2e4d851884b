/** The two-layer networks that act on each token of a transformer alone. */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { gelu } from './gelu.js';
import { withGradient } from './gradients.js';
import { linear, linearSpecs } from './linear.js';
import type { Init, TensorTree } from './params.js';

/**
 * `gelu`: exact GELU; `relu2`: max(0, x)² (So et al., Primer, arXiv 2109.08668, section 4.2); `swiglu`: a gate beside
 * the hidden units (Shazeer, arXiv 2002.05202).
 */
export type Mlp = 'gelu' | 'swiglu' | 'relu2';

export type FeedForward = ReturnType<typeof feedForwardSpecs>;

/** 4·D hidden units; with a gate for each, ⅔ of them, up to a multiple of 32: about as many weights. */
export const hiddenUnits = (width: number, mlp: Mlp): number =>
  mlp === 'swiglu' ? 32 * Math.ceil((8 * width) / 3 / 32) : 4 * width;

export function feedForwardSpecs(width: number, mlp: Mlp, init: Init) {
  const hidden = hiddenUnits(width, mlp);
  return {
    expand: linearSpecs(width, mlp === 'swiglu' ? 2 * hidden : hidden, init),
    contract: linearSpecs(hidden, width, init),
  };
}

const activations: Record<Mlp, (x: tf.Tensor) => tf.Tensor> = { gelu, swiglu, relu2 };

/** [N, D] → [N, D]. */
export const feedForward = (
  params: TensorTree<FeedForward>,
  x: tf.Tensor,
  mlp: Mlp,
  layer: typeof linear = linear,
): tf.Tensor => layer(params.contract, activations[mlp](layer(params.expand, x)));

/** max(0, x)², any shape; the derivative is 2·max(0, x). */
export function relu2(x: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () => tf.square(tf.relu(x)),
    save: [x],
    gradient: (dy, [x]) => [tf.mul(dy, tf.mul(tf.relu(x), 2))],
  });
}

/** x = [a, b], [N, 2F] → a·σ(a)·b [N, F]. */
export function swiglu(x: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () =>
      composite('SwiGlu', { x }, {}, () => {
        const { a, b, s } = halves(x);
        return [tf.mul(tf.mul(a, s), b)];
      })[0],
    save: [x],
    gradient: (dy, [x]) => composite('SwiGluGrad', { x, dy }, {}, () => [backward(x, dy)]),
  });
}

function halves(x: tf.Tensor): Record<'a' | 'b' | 's', tf.Tensor> {
  const [a, b] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return { a, b, s: tf.sigmoid(a) };
}

/** With s = σ(a): da = dy·b·s·(1 + a·(1 − s)), db = dy·a·s. */
function backward(x: tf.Tensor, dy: tf.Tensor): tf.Tensor {
  const { a, b, s } = halves(x);
  const da = tf.mul(tf.mul(dy, b), tf.mul(s, tf.add(1, tf.mul(a, tf.sub(1, s)))));
  return tf.concat([da, tf.mul(dy, tf.mul(a, s))], -1);
}
