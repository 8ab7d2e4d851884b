/**
 * A prior that draws in order and is computed whole as an exported file: all codes in, the logits of all places out.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../engine/device.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { canvasFile } from './canvas-file.js';
import type { Portable } from './prior.js';

/**
 * @param o.grids in the order in which they are drawn, T cells in all; K, the largest of their vocabularies
 * @param o.classes how many the prior knows; of none the file takes no labels
 * @param logits codes int32 [B, T] and, with classes, labels int32 [B], −1 without a class → logits [B, T, K], of each
 *   place by the codes before it; a grid with fewer codes has the first
 */
export function wholePortable(
  o: { readonly grids: readonly Grid[]; readonly classes: number },
  logits: (p: Tensors, codes: tf.Tensor, labels?: tf.Tensor) => tf.Tensor,
): Portable {
  return {
    ...canvasFile(o, { without: 'any where none is drawn yet', by: 'the codes before it' }, logits),
    asked: { by: 'canvas' },
  };
}
