/** The prior `gpt`: a transformer that reads the codes one after another, all grids end to end. */
import * as tf from '@tensorflow/tfjs-core';
import { picked } from '../../base/lookup.js';
import type { HostTensor } from '../../base/tensor.js';
import type { PriorConfig } from '../../config/schema.js';
import type { Specs } from '../../engine/device.js';
import { crossEntropy } from '../../nn/cross-entropy.js';
import { stepDropout } from '../../nn/dropout.js';
import { int8Linear } from '../../nn/int8-linear.js';
import { specsOf, treeOf } from '../../nn/params.js';
import { turnsOf } from '../../nn/rotary.js';
import { decays, dropoutSites } from '../../nn/transformer.js';
import { cellsIn, centres, vocabulary } from '../../stage1-vqgan/grids.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { drawerOf, sequencesFor } from '../drawer.js';
import type { Condition, Prior } from '../prior.js';
import { openCachedModel } from './cache.js';
import { type GptSizes, gptLogits, gptSpecs, placesOf } from './gpt.js';
import { ordersOf, randomShare, reordered } from './orders.js';
import { portableGpt } from './portable.js';
import { corrupted, sequencesOf, startTokens } from './sequences.js';
import { afterFirst, ofAllCells, withoutFirst } from './told-start.js';

/** What it is made of. */
type Structure = Pick<
  PriorConfig,
  'layers' | 'heads' | 'width' | 'norm' | 'mlp' | 'qk_norm' | 'positions' | 'order' | 'start'
>;

/** What it takes of the config's section, and the seed that acts. */
type Settings = Structure &
  Pick<PriorConfig, 'dropout' | 'pkeep' | 'accumulate' | 'steps' | 'precision'> & { readonly seed: number };

/** Of grids with different vocabularies the largest; a cell is drawn among its own grid's codes. */
export function gptSizes(o: Structure, grids: readonly Grid[], classes = 0): GptSizes {
  const { layers, heads, width, norm, mlp, qk_norm } = o;
  const codes = Math.max(...grids.map(({ vocab }) => vocab));
  const told = o.start === 'told';
  const tokens = told ? cellsIn(grids) - 1 : cellsIn(grids);
  const annealed = o.order === 'annealed';
  const places = [...(told ? [] : [beforeAll]), ...centres(grids)].slice(0, placesOf({ tokens, annealed }));
  return {
    ...{ layers, heads, width, norm, mlp, qk_norm, codes, classes, told, tokens, annealed },
    ...(o.positions === 'rope' && {
      turns: turnsOf(places, width / heads),
      unplaced: grids.length === 1, // else nothing would say which grid a code is of
    }),
  };
}

/** Where the start token stands: how far a cell is from it tells where the cell is. */
const beforeAll = { row: -1, column: -1 };

export function gptPrior(settings: Settings, drawn: readonly Grid[], condition: Condition): Prior {
  const { dropout, pkeep, seed, steps, precision } = settings;
  const grids = [...condition.grids, ...drawn];
  const sizes = gptSizes(settings, grids, condition.classes.length);
  const { codes, told, tokens, width, annealed } = sizes;
  const specs = gptSpecs(sizes);
  const given = cellsIn(condition.grids);
  const layout = { sites: dropoutSites(sizes), rows: tokens, columns: width };
  const drops = stepDropout({ ...layout, rate: dropout, seed });
  return {
    condition,
    grids,
    described: `${sizes.layers} layers of width ${width}`,
    draws: 'in order',
    widest: Math.max(4 * width, sizes.heads * tokens),
    learned: specsOf(specs),
    decays,
    precisions: { f32: 'f32', int8: 'int8' },
    inputs(phase, batch): Specs {
      const sequences = { shape: [batch, tokens], dtype: 'int32' } as const;
      const train = phase === 'train';
      return {
        ...{ ids: sequences, targets: sequences },
        ...(train && annealed && { places: sequences, next: sequences }),
        ...(train && drops.inputs(batch)),
      };
    },
    feed(phase, step, batch) {
      const inputs = (all: Record<string, HostTensor>) => (told ? withoutFirst(all) : all);
      if (phase === 'eval') return { batched: inputs({ ...sequencesOf(codes, batch) }) };
      const size = batch.labels.length;
      const share = randomShare(step, steps);
      const { canvas, ...order } = annealed
        ? reordered(batch, ordersOf(grids, size, { share, seed, step }))
        : { canvas: batch };
      const { ids, targets } = sequencesOf(codes, canvas);
      const noise = drops.feed(step, size);
      return {
        batched: {
          ...inputs({
            ids:
              pkeep < 1 ? corrupted(ids, { pkeep, vocabulary: vocabulary(grids), given, seed, step }) : ids,
            targets,
            ...order,
          }),
          ...noise.batched,
        },
        common: noise.common,
      };
    },
    /** In training in another order, a grid's cells in that order. */
    nats(p, inputs, phase) {
      const { ids, targets } = picked(inputs, ['ids', 'targets']);
      const { places, next } = inputs;
      const order = places && next && { places, next };
      const logits = gptLogits(sizes, treeOf(specs, p), ids, {
        dropout: drops.of(inputs),
        order,
        layers: phase === 'train' && precision === 'int8' ? int8Linear : undefined,
      });
      const nats = crossEntropy(tf.reshape(logits, [-1, codes]), tf.reshape(targets, [-1])); // [B·T]
      const ofPlaces = tf.reshape(nats, ids.shape);
      const each = told ? ofAllCells(ofPlaces) : ofPlaces;
      return given === 0 ? each : tf.mul(each, predicted(given, cellsIn(grids)));
    },
    async open(device, weights, o) {
      const { batch, cfgScale, precision } = { ...o, batch: sequencesFor(o) };
      const opened = await openCachedModel({ sizes, weights, batch, precision, device });
      const model = told ? afterFirst(opened, codes) : opened;
      const starts = (labels: Int32Array) => startTokens(codes, labels);
      return drawerOf(model, { grids, given: condition.grids, cfgScale, starts });
    },
    ...(!told && { portable: portableGpt(sizes) }),
  };
}

/** [1, T]: 0 for the first cells, which are given, 1 for the others. */
const predicted = (given: number, cells: number): tf.Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: cells }, (_, cell) => (cell < given ? 0 : 1)),
    [1, cells],
  );
