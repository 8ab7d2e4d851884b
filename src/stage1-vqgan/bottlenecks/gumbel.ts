/**
 * The code of the highest score: what remains of Gumbel-softmax (Jang et al., arXiv 1611.01144) once training is over.
 * For tokenizers that were trained elsewhere; the published code goes on drawing Gumbel noise when it encodes, so that
 * its codes are those of here but for chance.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../../config/schema.js';
import { type Conv, conv, convSpecs } from '../../nn/conv.js';
import { rowOf } from './nearest.js';
import type { Codebook, Quantiser } from './quantiser.js';

/**
 * Scores are a 1×1 convolution of z [B, h, w, D] → [B, h, w, K]; a code is decoded to its row of the codebook [K, D].
 */
export function highestScore({
  codes,
  embed_dim,
}: Stage1Config): Quantiser<Codebook & { readonly proj: Conv }> {
  return {
    specs: {
      codebook: { shape: [codes, embed_dim], init: { kind: 'normal', mean: 0, std: 1 } },
      proj: convSpecs(1, embed_dim, codes),
    },
    learnsByGradient: true,
    candidates: (z) => z,
    encode: ({ proj }, z) => tf.argMax(conv(proj, z), -1),
    decode: rowOf,
    pass: () => {
      throw new Error('internal: a gumbel bottleneck is not trained');
    },
  };
}
