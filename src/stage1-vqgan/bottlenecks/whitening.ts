/**
 * A triangular map of a vector under which its numbers are to be N(0, I): z = h·W + shift, W upper triangular. The
 * decoder sees h, the KL z. So reconstruction does not hang on W, whose gradient is that of the KL alone, and W soon
 * takes out what scale and correlation the codes of all pictures have; without it the encoder would have to, by a
 * gradient that is lost in the noise of the reconstruction's. It is the same model as one whose prior is a learned
 * Gaussian.
 */
import * as tf from '@tensorflow/tfjs-core';
import { entry } from '../../base/lookup.js';
import type { Tensors } from '../../engine/device.js';
import type { ParamSpec } from '../../nn/params.js';

export interface Whitening {
  readonly learned: Record<string, ParamSpec>;
  /** h [B, D] → z. */
  whiten(p: Tensors, h: tf.Tensor): tf.Tensor;
  /** z [B, D] → h. */
  undo(p: Tensors, z: tf.Tensor): tf.Tensor;
  /**
   * Of a diagonal Gaussian's ln σ² [B, D] of h: variances of z, and numbers whose sum is the ln of its covariance's
   * determinant; both [B, D].
   */
  spread(p: Tensors, logvar: tf.Tensor): { variance: tf.Tensor; logvar: tf.Tensor };
}

/** Begins as the identity. */
export function whiteningOf(dims: number): Whitening {
  const [above, scale, shift] = ['whitening.above', 'whitening.log_scale', 'whitening.shift'] as const;
  const zeros = { kind: 'zeros' } as const;
  const map = (p: Tensors) =>
    tf.add(tf.mul(entry(p, above), strictlyAbove(dims)), diagonal(tf.exp(entry(p, scale))));
  return {
    learned: {
      [above]: { shape: [dims, dims], init: zeros },
      [scale]: { shape: [dims], init: zeros },
      [shift]: { shape: [dims], init: zeros },
    },
    whiten: (p, h) => tf.add(tf.matMul(h as tf.Tensor2D, map(p) as tf.Tensor2D), entry(p, shift)),
    undo(p, z) {
      const inverse = triangularInverse(map(p), tf.exp(tf.neg(entry(p, scale))));
      return tf.matMul(tf.sub(z, entry(p, shift)) as tf.Tensor2D, inverse as tf.Tensor2D);
    },
    spread: (p, logvar) => ({
      variance: tf.matMul(tf.exp(logvar) as tf.Tensor2D, tf.square(map(p)) as tf.Tensor2D),
      logvar: tf.add(logvar, tf.mul(2, entry(p, scale))),
    }),
  };
}

const strictlyAbove = (n: number): tf.Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: n * n }, (_, i) => (i % n > Math.floor(i / n) ? 1 : 0)),
    [n, n],
  );

const diagonal = (values: tf.Tensor): tf.Tensor => {
  const n = values.size;
  return tf.mul(
    tf.tensor2d(
      Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
      [n, n],
    ),
    values,
  );
};

/**
 * By Newton's iteration X ← X·(2 − W·X) from the inverse of the diagonal: the error I − W·X is strictly triangular and
 * squared by each step, so that log₂ n steps end it; two more take back what rounding left.
 *
 * @param w [n, n], triangular. @param start 1 over its diagonal, [n]
 */
function triangularInverse(w: tf.Tensor, start: tf.Tensor): tf.Tensor {
  const twice = diagonal(tf.fill([start.size], 2));
  let x = diagonal(start);
  for (let i = 0; i < Math.ceil(Math.log2(start.size)) + 2; i++) {
    x = tf.matMul(
      x as tf.Tensor2D,
      tf.sub(twice, tf.matMul(w as tf.Tensor2D, x as tf.Tensor2D)) as tf.Tensor2D,
    );
  }
  return x;
}
