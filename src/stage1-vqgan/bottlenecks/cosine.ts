/**
 * Codes on the unit sphere, compared by angle: Yu et al., "Vector-quantized Image Modeling with Improved VQGAN",
 * arXiv 2110.04627, §3.2. The paper's codes are short (8 to 32 values): that is `embed_dim`.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorTree } from '../../nn/params.js';
import { type CodebookConfig, nearestCode } from './nearest.js';
import type { Codebook, Quantiser } from './quantiser.js';

/**
 * `nearestCode` between z/‖z‖ and eₖ/‖eₖ‖, whose squared distance is 2 − 2·cos: the decoder sees unit vectors, also
 * while nothing is quantised, and gradients of both loss terms pass the normalisation.
 */
export function cosineCode(config: CodebookConfig): Quantiser<Codebook> {
  const { codes, embed_dim } = config;
  const inner = nearestCode(config);
  const onSphere = ({ codebook }: TensorTree<Codebook>) => ({ codebook: unit(codebook) });
  return {
    // Of length about 1, where a step of the optimiser turns a code as far as it would move it.
    specs: {
      codebook: { shape: [codes, embed_dim], init: { kind: 'normal', mean: 0, std: embed_dim ** -0.5 } },
    },
    learnsByGradient: true,
    candidates: unit,
    pass: (params, z, active) => inner.pass(onSphere(params), unit(z), active),
    encode: (params, z) => inner.encode(onSphere(params), unit(z)),
    decode: (params, ids) => inner.decode(onSphere(params), ids),
  };
}

/** x / ‖x‖ over the last axis; finite for zeros. */
function unit(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), -1, true), 1e-12)));
}
