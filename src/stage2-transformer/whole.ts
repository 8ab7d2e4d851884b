/**
 * A prior that draws in order and is computed whole as an exported file: all codes in, the logits of all places out.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { lastAxis } from '../base/tensor.js';
import type { Graph, Tensors } from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { canvasFile, logitsOf } from './canvas-file.js';
import { type CachedModel, drawerOf } from './drawer.js';
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
  const { grids, classes } = o;
  return {
    ...canvasFile(o, { without: 'any where none is drawn yet', by: 'the codes before it' }, logits),
    open: (graph, { cfgScale }) =>
      drawerOf(modelOf(graph, cellsIn(grids), classes > 0), {
        grids,
        cfgScale,
        starts: (labels) => labels,
      }),
    asked: { by: 'canvas' },
  };
}

/** What begins a canvas is its label. */
function modelOf(graph: Graph, cells: number, labelled: boolean): CachedModel {
  let codes = new Int32Array();
  let labels = new Int32Array();
  return {
    async nextLogits(ids, position) {
      const batch = ids.length;
      if (position === 0) {
        codes = new Int32Array(batch * cells);
        labels = Int32Array.from(ids);
      } else for (const [row, id] of ids.entries()) codes[row * cells + position - 1] = id;
      const logits = await logitsOf(graph, { codes, labels }, labelled);
      const width = lastAxis(logits);
      const here = new Float32Array(batch * width);
      for (let row = 0; row < batch; row++) {
        const at = (row * cells + position) * width;
        here.set((logits.data as Float32Array).subarray(at, at + width), row * width);
      }
      return here;
    },
    dispose: () => graph.dispose(),
  };
}
