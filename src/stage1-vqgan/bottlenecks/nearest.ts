/** The nearest row of a learned codebook: van den Oord et al., arXiv 1711.00937, §3.2. */

import * as tf from '@tensorflow/tfjs-core';
import { last } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import { composite } from '../../nn/composite.js';
import { squaredErrorTo, straightThrough, withGradient } from '../../nn/gradients.js';
import { lookup } from '../../nn/lookup.js';
import type { TensorTree } from '../../nn/params.js';
import { type Codebook, type Quantiser, select } from './quantiser.js';
import { rotated } from './rotation.js';

export type CodebookConfig = Pick<
  Stage1Config,
  'codes' | 'embed_dim' | 'beta' | 'legacy_beta' | 'bottleneck'
>;

/**
 * z becomes the nearest row q of the codebook [K, D], the gradient of q is passed on to z as `bottleneck.gradient`
 * says. Loss: mean ‖sg(z) − q‖² (codebook) + β · mean ‖z − sg(q)‖² (commitment); with `legacy_beta`, as the published
 * code has it, β · codebook + commitment.
 */
export function nearestCode(config: CodebookConfig): Quantiser<Codebook> {
  const { codes, embed_dim, beta, legacy_beta } = config;
  const weights = legacy_beta ? { codebook: beta, commitment: 1 } : { codebook: 1, commitment: beta };
  return {
    specs: { codebook: { shape: [codes, embed_dim], init: { kind: 'uniform', bound: 1 / codes } } },
    learnsByGradient: true,
    encode: nearestRow,
    decode: rowOf,
    candidates: (z) => z,
    pass(params, z, active) {
      const ids = nearestRow(params, z);
      const q = rowOf(params, ids);
      const gated = (t: tf.Tensor) => (active ? tf.mul(active, t) : t);
      const terms = { codebook: gated(squaredErrorTo(q, z)), commitment: gated(squaredErrorTo(z, q)) };
      return {
        output: passedOn(config, z, active ? select(active, q, z) : q),
        codes: ids,
        terms,
        loss: tf.add(tf.mul(weights.codebook, terms.codebook), tf.mul(weights.commitment, terms.commitment)),
      };
    },
  };
}

/** The value of `q`, with its gradient given to `z` [B, h, w, D] by the rule of the config. */
export function passedOn({ bottleneck }: CodebookConfig, z: tf.Tensor, q: tf.Tensor): tf.Tensor {
  return bottleneck.gradient === 'rotation' ? rotated(z, q) : straightThrough(z, q);
}

/** z [..., D] → int32 [...]: argmin over k of ‖z − eₖ‖², the first of equals; no gradient. */
export function nearestRow({ codebook }: TensorTree<Codebook>, z: tf.Tensor): tf.Tensor {
  const flat = tf.reshape(z, [-1, last(z.shape)]);
  return tf.reshape(nearest(flat, codebook), z.shape.slice(0, -1));
}

/** int32 [...] → [..., D]. */
export const rowOf = ({ codebook }: TensorTree<Codebook>, ids: tf.Tensor): tf.Tensor =>
  lookup(codebook as tf.Tensor2D, ids);

/** z [N, D], codebook [K, D] → int32 [N]. */
function nearest(z: tf.Tensor, codebook: tf.Tensor): tf.Tensor {
  const byDistance = (): [tf.Tensor] => {
    const lengths = tf.sum(tf.square(codebook), 1); // [K]
    const products = tf.matMul(z as tf.Tensor2D, codebook as tf.Tensor2D, false, true); // [N, K]
    return [tf.argMin(tf.sub(lengths, tf.mul(2, products)), 1)];
  };
  return withGradient([z, codebook], {
    value: () => composite('NearestCode', { z, codebook }, {}, byDistance)[0],
    gradient: () => {
      throw new Error('internal: codes have no gradient');
    },
  });
}
