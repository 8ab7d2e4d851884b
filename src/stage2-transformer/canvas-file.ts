/** A prior as a file that takes a whole canvas and gives the logits of all its places. Any B in every run. */
import type * as tf from '@tensorflow/tfjs-core';
import { freeBatch, type InputSpec, type Named, type Tensors } from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { unknown } from './canvas.js';
import type { Portable } from './prior.js';

/**
 * @param o.grids T cells in all, end to end; K is the largest of their vocabularies
 * @param o.classes how many the prior knows; of none the file takes no labels
 * @param said for people, what stands at places without a code, and by what the logits of a place are
 * @param logits codes int32 [B, T] and, with classes, labels int32 [B], −1 without a class → logits [B, T, K]
 */
export function canvasFile(
  o: { readonly grids: readonly Grid[]; readonly classes: number },
  said: { readonly without: string; readonly by: string },
  logits: (p: Tensors, codes: tf.Tensor, labels?: tf.Tensor) => tf.Tensor,
): Pick<Portable, 'program' | 'metadata'> {
  const { grids, classes } = o;
  const cells = cellsIn(grids);
  const codes = Math.max(...grids.map(({ vocab }) => vocab));
  const inputs: Named<'codes', InputSpec> = {
    codes: freeBatch({ shape: [1, cells], dtype: 'int32' }),
    ...(classes > 0 && { labels: freeBatch({ shape: [1], dtype: 'int32' }) }),
  };
  return {
    program: (weights) => ({
      name: 'prior',
      inputs,
      constants: weights,
      run: ({ codes, labels }: Tensors, p: Tensors) => ({ logits: logits(p, codes!, labels) }),
    }),
    metadata: {
      tokens: `${cells}`,
      codes: `int64 [batch, ${cells}], 0 to ${codes - 1}, all grids end to end, row by row; ${said.without}`,
      ...(classes > 0 && { labels: `int64 [batch], 0 to ${classes - 1} a class, ${unknown} none` }),
      logits: `float32 [batch, ${cells}, ${codes}], natural logarithms, of each place by ${said.by}`,
    },
  };
}
