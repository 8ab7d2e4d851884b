/**
 * The prior `pixelcnn`, which is no transformer: gated masked convolutions, a network for each grid. That of a later
 * grid is told the codes of all earlier ones, given and drawn (as VQ-VAE-2 has it: Razavi et al., arXiv 1906.00446,
 * §3.2).
 */
import * as tf from '@tensorflow/tfjs-core';
import { must, pairs } from '../../base/lookup.js';
import { firstAxis, int32 } from '../../base/tensor.js';
import type { PriorConfig } from '../../config/schema.js';
import type { Specs, Tensors } from '../../engine/device.js';
import { crossEntropy } from '../../nn/cross-entropy.js';
import { stepDropout } from '../../nn/dropout.js';
import { over, specsOf, treeOf, under } from '../../nn/params.js';
import { cellsIn } from '../../stage1-vqgan/grids.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { drawerOf, sequencesFor } from '../drawer.js';
import type { Condition, Prior } from '../prior.js';
import { wholePortable } from '../whole.js';
import { openCachedNetworks } from './cached.js';
import { decays, type NetworkSizes, networkLogits, networkSpecs } from './network.js';

/** What it takes of the config's section, and the seed that acts. */
type Settings = Pick<PriorConfig, 'layers' | 'heads' | 'width' | 'dropout' | 'attention_every'> & {
  readonly seed: number;
};

export function pixelcnnPrior(settings: Settings, drawn: readonly Grid[], condition: Condition): Prior {
  const { layers, heads, width, dropout, attention_every: attentionEvery, seed } = settings;
  const grids = [...condition.grids, ...drawn];
  const classes = condition.classes.length;
  const networks = drawn.map((grid, i): NetworkSizes => {
    const earlier = grids.slice(0, condition.grids.length + i);
    return { layers, width, heads, attentionEvery, classes, grid, earlier };
  });
  const cells = cellsIn(grids);
  const drops = networks.map(({ grid }) => {
    const layout = { sites: layers, rows: cellsIn([grid]), columns: width };
    return stepDropout({
      ...layout,
      rate: dropout,
      seed: `${seed} ${grid.name}`,
      name: `noise.${grid.name}`,
    });
  });

  /** Logits [B·h·w, K] of a network. */
  const logitsOf = (
    network: NetworkSizes,
    p: Tensors,
    inputs: Tensors,
    codes: readonly tf.Tensor[],
  ): tf.Tensor => {
    const { name } = network.grid;
    const own = ownCodes(network, codes);
    const dropped = must(drops[networks.indexOf(network)], name).of(inputs);
    const known = { labels: inputs.labels, earlier: codes.slice(0, network.earlier.length) };
    return networkLogits(network, treeOf(networkSpecs(network), under(name, p)), own, known, dropped);
  };
  /** [B, cells of the network's grid]. */
  const natsOf = (
    network: NetworkSizes,
    p: Tensors,
    inputs: Tensors,
    codes: readonly tf.Tensor[],
  ): tf.Tensor => {
    const own = ownCodes(network, codes);
    const nats = crossEntropy(logitsOf(network, p, inputs, codes), tf.reshape(own, [-1]));
    return tf.reshape(nats, [firstAxis(own), -1]);
  };

  return {
    condition,
    grids,
    described: `${drawn.length > 1 ? `a network for each of ${drawn.length} grids, each of ` : ''}${layers} layers of width ${width}`,
    draws: 'in order',
    widest: 4 * width,
    learned: Object.assign(
      {},
      ...networks.map((network) => over(network.grid.name, specsOf(networkSpecs(network)))),
    ),
    decays,
    precisions: { f32: 'f32' },
    inputs(phase, batch): Specs {
      return {
        codes: { shape: [batch, cells], dtype: 'int32' },
        ...(classes > 0 && { labels: { shape: [batch], dtype: 'int32' } as const }),
        ...(phase === 'train' && Object.assign({}, ...drops.map((drop) => drop.inputs(batch)))),
      };
    },
    feed(phase, step, { codes, labels }) {
      const batch = labels.length;
      const noise = phase === 'train' ? drops.map((drop) => drop.feed(step, batch)) : [];
      return {
        batched: {
          codes: int32([batch, cells], codes),
          ...(classes > 0 && { labels: int32([batch], labels) }),
          ...Object.assign({}, ...noise.map(({ batched }) => batched)),
        },
        common: Object.assign({}, ...noise.map(({ common }) => common)),
      };
    },
    nats(p, inputs) {
      const all = must(inputs.codes, 'codes');
      const codes = cut(all, grids);
      const nats = networks.map((network) => natsOf(network, p, inputs, codes));
      const given = cellsIn(condition.grids);
      const zeros = given > 0 ? [tf.zeros([firstAxis(all), given])] : [];
      const parts = [...zeros, ...nats];
      const [only, another] = parts;
      return only && !another ? only : tf.concat(parts, 1);
    },
    async open(device, weights, o) {
      const { cfgScale } = o;
      const model = await openCachedNetworks({ device, weights, batch: sequencesFor(o), grids, networks });
      return drawerOf(model, { grids, given: condition.grids, cfgScale, starts: (labels) => labels });
    },
    portable: wholePortable({ grids, classes }, (p, all, labels) => {
      const codes = cut(all, grids);
      const most = Math.max(...grids.map(({ vocab }) => vocab));
      const parts = networks.map((network) => {
        const { grid } = network;
        const logits = logitsOf(network, p, { ...(labels && { labels }) }, codes);
        const byCell = tf.reshape(logits, [-1, cellsIn([grid]), grid.vocab]);
        return tf.pad(
          byCell,
          [
            [0, 0],
            [0, 0],
            [0, most - grid.vocab],
          ],
          neverDrawn,
        );
      });
      return tf.pad(tf.concat(parts, 1), [
        [0, 0],
        [cellsIn(condition.grids), 0],
        [0, 0],
      ]);
    }),
  };
}

/** Of all grids' codes those of a network's. */
const ownCodes = ({ grid, earlier }: NetworkSizes, codes: readonly tf.Tensor[]): tf.Tensor =>
  must(codes[earlier.length], `codes of ${grid.name}`);

/** The logit of a code that a grid has not. */
const neverDrawn = -1e9;

/** Codes int32 [B, T] → int32 [B, h, w] of each grid. */
function cut(codes: tf.Tensor, grids: readonly Grid[]): tf.Tensor[] {
  const batch = firstAxis(codes);
  const parts = tf.split(
    codes,
    grids.map((grid) => cellsIn([grid])),
    1,
  );
  return pairs(parts, grids).map(([part, { height, width }]) => tf.reshape(part, [batch, height, width]));
}
