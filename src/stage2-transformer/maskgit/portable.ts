/**
 * MaskGIT as an exported file: one pass. A canvas in, masked where its codes are unknown, the logits of all its cells
 * out.
 */
import * as tf from '@tensorflow/tfjs-core';
import { lastAxis } from '../../base/tensor.js';
import { treeOf } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { unknown } from '../canvas.js';
import { canvasFile, logitsOf } from '../canvas-file.js';
import { between } from '../guidance.js';
import type { Portable } from '../prior.js';
import { passesDrawer, withAndWithout } from './drawing.js';
import type { Ask } from './filling.js';
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
    open(graph, { cfgScale }) {
      const ask: Ask = async (canvas, { temperature, scale }) => {
        const asked = cfgScale === 1 ? canvas : withAndWithout(canvas);
        const logits = await logitsOf(graph, asked, classes > 0);
        const data = logits.data as Float32Array;
        return softmax(cfgScale === 1 ? data : between(data, scale), lastAxis(logits), temperature);
      };
      return passesDrawer(ask, { grids, schedule, cfgScale, dispose: () => graph.dispose() });
    },
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

/** Of rows of so many logits. @returns another array */
function softmax(logits: Float32Array, width: number, temperature: number): Float32Array {
  const shares = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += width) {
    const row = logits.subarray(start, start + width);
    const highest = row.reduce((a, b) => Math.max(a, b));
    let total = 0;
    for (const logit of row) total += Math.exp((logit - highest) / temperature);
    for (const [i, logit] of row.entries())
      shares[start + i] = Math.exp((logit - highest) / temperature) / total;
  }
  return shares;
}
