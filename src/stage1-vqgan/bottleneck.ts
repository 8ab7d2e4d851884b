/**
 * What stands between encoder and decoder. A bottleneck turns z into something the decoder may see, with codes, loss
 * terms and a gradient of its own; `NearestCode` is the published one (van den Oord et al., arXiv 1711.00937, §3.2).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../config/schema.js';
import { composite } from '../nn/composite.js';
import { squaredErrorTo, straightThrough, withGradient } from '../nn/gradients.js';
import { lookup } from '../nn/lookup.js';
import type { ParamSpec, TensorTree } from '../nn/params.js';

/** One pass through a bottleneck. */
export interface Bottled {
  /** What the decoder sees, [B, h, w, D]. */
  readonly output: tf.Tensor;
  /** int32 [B, h, w]. */
  readonly codes: tf.Tensor;
  /** Unweighted loss terms, scalars. */
  readonly terms: { readonly codebook: tf.Tensor; readonly commitment: tf.Tensor };
  /** The terms' weighted sum. */
  readonly loss: tf.Tensor;
}

export interface Bottleneck<P extends object> {
  readonly specs: P;
  /** z [B, h, w, D]; `active` (scalar 0 or 1, default 1): while 0, z passes as it is and the terms are 0. */
  pass(params: TensorTree<P>, z: tf.Tensor, active?: tf.Tensor): Bottled;
  /** z [B, h, w, D] → codes int32 [B, h, w]. */
  encode(params: TensorTree<P>, z: tf.Tensor): tf.Tensor;
  /** Codes int32 [B, h, w] → [B, h, w, D]. */
  decode(params: TensorTree<P>, codes: tf.Tensor): tf.Tensor;
}

export type Codebook = { codebook: ParamSpec };

/**
 * z becomes the nearest row q of the codebook [K, D], the gradient of q is passed on to z. Loss: mean ‖sg(z) − q‖²
 * (codebook) + β · mean ‖z − sg(q)‖² (commitment); with `legacy_beta`, as the published code has it, β · codebook +
 * commitment.
 */
export function nearestCode(
  config: Pick<Stage1Config, 'codes' | 'embed_dim' | 'beta' | 'legacy_beta'>,
): Bottleneck<Codebook> {
  const { codes, embed_dim, beta, legacy_beta } = config;
  const weights = legacy_beta ? { codebook: beta, commitment: 1 } : { codebook: 1, commitment: beta };

  const encode = ({ codebook }: TensorTree<Codebook>, z: tf.Tensor) =>
    tf.reshape(nearest(tf.reshape(z, [-1, embed_dim]), codebook), z.shape.slice(0, -1));
  const decode = ({ codebook }: TensorTree<Codebook>, ids: tf.Tensor) => lookup(codebook as tf.Tensor2D, ids);

  return {
    specs: { codebook: { shape: [codes, embed_dim], init: { kind: 'uniform', bound: 1 / codes } } },
    encode,
    decode,
    pass(params, z, active) {
      const ids = encode(params, z);
      const q = decode(params, ids);
      const gated = (t: tf.Tensor) => (active ? tf.mul(active, t) : t);
      const terms = { codebook: gated(squaredErrorTo(q, z)), commitment: gated(squaredErrorTo(z, q)) };
      return {
        output: straightThrough(z, active ? select(active, q, z) : q),
        codes: ids,
        terms,
        loss: tf.add(tf.mul(weights.codebook, terms.codebook), tf.mul(weights.commitment, terms.commitment)),
      };
    },
  };
}

/** z [N, D], codebook [K, D] → int32 [N]: argmin over k of ‖zₙ − eₖ‖², the first of equals; no gradient. */
function nearest(z: tf.Tensor, codebook: tf.Tensor): tf.Tensor {
  const byDistance = () => {
    const lengths = tf.sum(tf.square(codebook), 1); // [K]
    const products = tf.matMul(z as tf.Tensor2D, codebook as tf.Tensor2D, false, true); // [N, K]
    return [tf.argMin(tf.sub(lengths, tf.mul(2, products)), 1)];
  };
  return withGradient([z, codebook], {
    value: () => composite('NearestCode', { z, codebook }, {}, byDistance)[0]!,
    gradient: () => {
      throw new Error('internal: codes have no gradient');
    },
  });
}

/** `a` where mask is 1, `b` where it is 0 (mask broadcasts, all values finite): exact, and fixed in shape. */
export function select(mask: tf.Tensor, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(mask, a), tf.mul(tf.sub(1, mask), b));
}
