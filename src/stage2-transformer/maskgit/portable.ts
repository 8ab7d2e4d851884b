/**
 * MaskGIT as an exported file: one pass. A canvas in, masked where its codes are unknown, the logits of all its cells
 * out.
 */
import * as tf from '@tensorflow/tfjs-core';
import { treeOf } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { unknown } from '../canvas.js';
import { canvasFile } from '../canvas-file.js';
import type { Portable } from '../prior.js';
import { type MaskgitSizes, maskgitLogits, maskgitSpecs } from './network.js';
import type { MaskSchedule } from './schedule.js';
import { classToken, maskToken } from './tokens.js';

export function portableMaskgit(
  sizes: MaskgitSizes,
  grids: readonly Grid[],
  schedule: MaskSchedule,
): Portable {
  const { classes, cells, codes: most } = sizes;
  const specs = maskgitSpecs(sizes);
  const said = { without: `${unknown} where unknown`, by: 'all codes that are known' };
  return {
    ...canvasFile({ grids, classes }, said, (p, codes, labels) =>
      tf.reshape(maskgitLogits(sizes, treeOf(specs, p), idsOf(sizes, codes, labels)), [-1, cells, most]),
    ),
    asked: { by: 'passes', schedule },
  };
}

/** As `tokensOf`, of codes int32 [B, T] and labels int32 [B] → int32 [B, S]. */
function idsOf(sizes: MaskgitSizes, codes: tf.Tensor, labels?: tf.Tensor): tf.Tensor {
  const mask = tf.scalar(maskToken(sizes), 'int32');
  const cells = tf.where(tf.less(codes, tf.scalar(0, 'int32')), mask, codes);
  if (!labels) return cells;
  const ofClass = tf.add(labels, tf.scalar(classToken(sizes, 0), 'int32'));
  return tf.concat([tf.expandDims(ofClass, 1), cells], 1);
}
