/**
 * Drawing without a full pass a code. The vertical stack is computed once for each row, from the codes of the rows
 * above and its own features of the row above; the horizontal stack for one cell at a time, from its own features of
 * the cell to the left. What is kept of a row or a cell goes from one call to the next on the host.
 *
 * Shapes: B images, h×w cells, K codes, D width, L layers, A attentions, p rows or columns that the first layer looks
 * back.
 */
import * as tf from '@tensorflow/tfjs-core';
import { must, pairs, picked } from '../../base/lookup.js';
import { firstAxis, type HostTensors } from '../../base/tensor.js';
import type { GraphProgram, Tensors } from '../../engine/device.js';
import { conv } from '../../nn/conv.js';
import { linear } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import { cropped, filterSize, gatedTanh } from '../../nn/masked-conv.js';
import { type TensorTree, treeOf } from '../../nn/params.js';
import { cacheInputs, indexed, ofKind } from '../key-value-cache.js';
import { attendedStep } from './attention.js';
import {
  attentionAfter,
  attentions,
  lookOf,
  type Network,
  type NetworkSizes,
  networkSpecs,
  plus,
  readOut,
} from './network.js';
import { additions, featuresOf } from './told.js';

/** p: how far the first layer looks back. */
export const back = lookOf(0).kernel >> 1;

const paramsOf = (o: NetworkSizes, constants: Tensors): TensorTree<Network> =>
  treeOf(networkSpecs(o), constants);

/** Rows of the table, of which there is one of zeros behind the last code: what lies outside the grid. */
function embedded(params: TensorTree<Network>, ids: tf.Tensor): tf.Tensor {
  return lookup(
    tf.pad(params.table, [
      [0, 1],
      [0, 0],
    ]) as tf.Tensor2D,
    ids,
  );
}

/** `earlier.i` int32 [B, h', w'] → `features` [B, h, w, D]. Only of a grid with earlier ones. */
export function featuresProgram(
  o: NetworkSizes,
  weights: HostTensors,
  batch: number,
): GraphProgram<never, 'features'> {
  const codes = o.earlier.map(
    ({ height, width }) => ({ shape: [batch, height, width], dtype: 'int32' }) as const,
  );
  return {
    name: 'pixelcnn-features',
    inputs: indexed('earlier', codes),
    constants: weights,
    run: (inputs, constants) => {
      const earlier = ofKind('earlier', inputs, codes.length);
      return { features: must(featuresOf(paramsOf(o, constants).told, earlier, o.grid), 'earlier grid') };
    },
  };
}

/**
 * A row of the vertical stack. Inputs: `above` int32 [B, p, w], the codes of the rows above, K outside the grid;
 * `before` [B, 1, w, L·D], the stack's features of the row above; where they are told `labels` int32 [B], `features`
 * [B, 1, w, D]. Outputs: `before` for the next row, and `additions` [B, w, L·2D] to the horizontal stack before its
 * gates.
 */
export function rowProgram(
  o: NetworkSizes,
  weights: HostTensors,
  batch: number,
): GraphProgram<'above' | 'before', 'before' | 'additions'> {
  const { layers, width, classes, grid } = o;
  const row = (channels: number) => ({ shape: [batch, 1, grid.width, channels], dtype: 'float32' }) as const;
  return {
    name: 'pixelcnn-row',
    inputs: {
      above: { shape: [batch, back, grid.width], dtype: 'int32' },
      before: row(layers * width),
      ...(classes > 0 && { labels: { shape: [batch], dtype: 'int32' } as const }),
      ...(o.earlier.length > 0 && { features: row(width) }),
    },
    constants: weights,
    run({ above, before, labels, features }, constants) {
      const params = paramsOf(o, constants);
      const told = additions(params.told, layers, { labels, features });
      const rowsAbove = tf.split(before, layers, 3);
      let last: tf.Tensor[] | undefined; // of the layer before: the row above and its own
      const own: tf.Tensor[] = [];
      const added: tf.Tensor[] = [];
      for (const [i, [layer, rowAbove]] of pairs(params.layers, rowsAbove).entries()) {
        const { kernel, mask } = lookOf(i);
        const seen = last ? tf.concat(last, 1) : embedded(params, above);
        const side = kernel >> 1;
        const below = tf.fused.conv2d({
          x: seen as tf.Tensor4D,
          filter: cropped('vertical', layer.vertical.weight, mask),
          strides: 1,
          pad: [
            [0, 0],
            [0, 0],
            [side, side],
            [0, 0],
          ],
          bias: layer.vertical.bias,
        }); // [B, 1, w, 2D]
        added.push(broadcast(plus(conv(layer.down, below), told?.[i]), below.shape));
        const row = gatedTanh(plus(below, told?.[i]));
        own.push(row);
        last = [rowAbove, row];
      }
      const all = tf.reshape(tf.concat(added, 3), [batch, grid.width, layers * 2 * width]);
      return { before: tf.concat(own, 3), additions: all };
    },
  };
}

const broadcast = (x: tf.Tensor, shape: number[]): tf.Tensor =>
  x.shape.join() === shape.join() ? x : tf.broadcastTo(x, shape);

/**
 * A cell of the horizontal stack. Inputs: `ids` int32 [B, p], the codes to its left, K outside the grid; `left` [B,
 * L·D], the stack's features of the cell to its left; `additions` [B, L·2D] of its column. Outputs: `logits` [B, K],
 * `left` for the next cell. With attention also `last` int32 [B], the code of the cell before, `behind` [B, A·D],
 * what it brought to the attentions, `places` and `first` as `Step` has them and a cache's inputs; and outputs
 * `behind` and `qkv.i` of this cell.
 */
export function cellProgram(
  o: NetworkSizes,
  weights: HostTensors,
  batch: number,
): GraphProgram<'ids' | 'left' | 'additions', 'logits' | 'left'> {
  const { layers, width, heads } = o;
  const count = attentions(o);
  const floats = (...shape: number[]) => ({ shape, dtype: 'float32' }) as const;
  return {
    name: 'pixelcnn-cell',
    inputs: {
      ids: { shape: [batch, back], dtype: 'int32' },
      left: floats(batch, layers * width),
      additions: floats(batch, layers * 2 * width),
      ...(count > 0 && {
        last: { shape: [batch], dtype: 'int32' } as const,
        behind: floats(batch, count * width),
        places: floats(2, 2),
        first: floats(1, 1),
        ...cacheInputs(cacheOf(o), batch),
      }),
    },
    constants: weights,
    run(inputs, constants) {
      const params = paramsOf(o, constants);
      const added = tf.split(inputs.additions, layers, 1);
      const cellsLeft = tf.split(inputs.left, layers, 1);
      const attended = count > 0 ? attendedInputs(params, inputs, count) : undefined;
      const [own, brought, qkv]: [tf.Tensor[], tf.Tensor[], tf.Tensor[]] = [[], [], []];
      let last: { left: tf.Tensor; own: tf.Tensor } | undefined; // of the layer before
      for (const [i, [layer, [left, addition]]] of pairs(params.layers, pairs(cellsLeft, added)).entries()) {
        const seen = last ? tf.concat([last.left, last.own], 1) : embedded(params, inputs.ids);
        const across = tf.add(leftward(layer, i, seen), addition);
        const out = linear(asMatrix(layer.out), gatedTanh(across));
        let h = last ? tf.add(last.own, out) : out;
        const attention = attentionAfter(o, i);
        if (attended && attention !== undefined) {
          brought.push(h);
          const { weights, ...before } = must(attended[attention], `attention ${attention}`);
          const step = attendedStep(weights, heads, { h, ...before });
          h = tf.add(h, step.mixed);
          qkv.push(step.qkv);
        }
        own.push(h);
        last = { left, own: h };
      }
      return {
        logits: readOut(params, must(last, 'layer').own),
        left: tf.concat(own, 1),
        ...(count > 0 && { behind: tf.concat(brought, 1), ...indexed('qkv', qkv) }),
      };
    },
  };
}

/** Of each attention its weights, and what it takes of the cells before. */
function attendedInputs(params: TensorTree<Network>, inputs: Tensors, count: number) {
  const { last, behind, places, first, mask } = picked(inputs, ['last', 'behind', 'places', 'first', 'mask']);
  const brought = tf.split(behind, count, 1);
  const x = embedded(params, last);
  const past = pairs(ofKind('keys', inputs, count), ofKind('values', inputs, count));
  return pairs(pairs(params.attention, brought), past).map(([[weights, h], [keys, values]]) => ({
    weights,
    before: { x, h },
    places,
    first,
    past: { keys, values, mask },
  }));
}

/**
 * A layer's horizontal convolution of one cell, [B, 2D].
 *
 * @param seen in the first layer the codes to the left, in others the features of the cell to the left and of its own
 */
function leftward(
  { horizontal }: TensorTree<Network>['layers'][number],
  i: number,
  seen: tf.Tensor,
): tf.Tensor {
  const { kernel, mask } = lookOf(i);
  const [, columns] = filterSize('horizontal', kernel, mask);
  const [inputs, outputs] = horizontal.weight.shape.slice(2) as [number, number];
  const weight = tf.reshape(cropped('horizontal', horizontal.weight, mask), [columns * inputs, outputs]);
  return linear({ weight, bias: horizontal.bias }, tf.reshape(seen, [firstAxis(seen), columns * inputs]));
}

/** A 1×1 convolution as what it is. */
function asMatrix({ weight, bias }: { weight: tf.Tensor; bias: tf.Tensor }) {
  return { weight: tf.reshape(weight, weight.shape.slice(2)), bias };
}

export const cacheOf = (o: NetworkSizes) => ({
  layers: attentions(o),
  heads: o.heads,
  width: o.width,
  tokens: o.grid.height * o.grid.width,
});
