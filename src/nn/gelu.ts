/** The exact Gaussian error linear unit (Hendrycks & Gimpel, arXiv 1606.08415): x·Φ(x). */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';

/** Any shape. Φ(x) = (1 + erf(x/√2)) / 2; the derivative is Φ(x) + x·φ(x). */
export function gelu(x: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () => composite('Gelu', { x }, {}, () => [tf.mul(x, normalCdf(x))])[0],
    save: [x],
    gradient: (dy, [x]) => {
      return composite('GeluGrad', { x, dy }, {}, () => [
        tf.mul(dy, tf.add(normalCdf(x), tf.mul(x, normalDensity(x)))),
      ]);
    },
  });
}

const normalCdf = (x: tf.Tensor): tf.Tensor => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);

const normalDensity = (x: tf.Tensor): tf.Tensor =>
  tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
