/** A prior that is computed whole as an exported file: all codes in, the logits of all places out. Any B in every run. */
import type * as tf from '@tensorflow/tfjs-core';
import { picked } from '../base/lookup.js';
import { type HostTensors, int32, lastAxis } from '../base/tensor.js';
import {
  freeBatch,
  type Graph,
  type GraphProgram,
  type InputSpec,
  type Named,
  type Tensors,
} from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { unknown } from './canvas.js';
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
  const cells = cellsIn(grids);
  const codes = Math.max(...grids.map(({ vocab }) => vocab));
  const inputs: Named<'codes', InputSpec> = {
    codes: freeBatch({ shape: [1, cells], dtype: 'int32' }),
    ...(classes > 0 && { labels: freeBatch({ shape: [1], dtype: 'int32' }) }),
  };
  return {
    program: (weights: HostTensors): GraphProgram<'codes', 'logits'> => ({
      name: 'prior',
      inputs,
      constants: weights,
      run: ({ codes, labels }, p) => ({ logits: logits(p, codes, labels) }),
    }),
    metadata: {
      tokens: `${cells}`,
      codes: `int64 [batch, ${cells}], 0 to ${codes - 1}, all grids end to end, row by row; any where none is drawn yet`,
      ...(classes > 0 && { labels: `int64 [batch], 0 to ${classes - 1} a class, ${unknown} none` }),
      logits: `float32 [batch, ${cells}, ${codes}], natural logarithms, of each place by the codes before it`,
    },
    open: (graph, { cfgScale }) =>
      drawerOf(modelOf(graph, cells, classes > 0), {
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
      const outputs = await graph.run({
        codes: int32([batch, cells], codes),
        ...(labelled && { labels: int32([batch], labels) }),
      });
      const { logits } = picked(outputs, ['logits']);
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
