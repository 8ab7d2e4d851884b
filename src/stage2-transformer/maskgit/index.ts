/** The prior `maskgit`: a transformer that fills masked codes from all others, all grids of an image on one canvas. */
import * as tf from '@tensorflow/tfjs-core';
import { last, nth, picked } from '../../base/lookup.js';
import { float32, type HostTensors, int32 } from '../../base/tensor.js';
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
import type { Condition, Prior } from '../prior.js';
import { openDrawer } from './drawing.js';
import { masked, maskedForValidation, type Shown } from './masking.js';
import { type MaskgitSizes, maskgitLogits, maskgitSpecs, tokensIn } from './network.js';
import { portableMaskgit } from './portable.js';
import { tokensOf } from './tokens.js';

/** A pass has the rows of all canvases' cells. */
const precisions: Prior['precisions'] = { f32: 'f32', int8: 'int8 by rows' };

type SizeSettings = Pick<
  PriorConfig,
  'layers' | 'heads' | 'width' | 'norm' | 'mlp' | 'qk_norm' | 'positions'
>;

type Settings = SizeSettings &
  Pick<PriorConfig, 'dropout' | 'mask_schedule' | 'label_smoothing' | 'substitute' | 'precision'> & {
    readonly seed: number;
  };

export function maskgitPrior(settings: Settings, drawn: readonly Grid[], condition: Condition): Prior {
  const { dropout, seed, mask_schedule: schedule, substitute, label_smoothing, precision } = settings;
  const grids = [...condition.grids, ...drawn];
  const sizes = sizesOf(settings, grids, condition);
  const { cells } = sizes;
  const tokens = tokensIn(sizes);
  const specs = maskgitSpecs(sizes);
  const ofCells = { vocabulary: vocabulary(grids), given: cellsIn(condition.grids) };
  const layout = { sites: dropoutSites(sizes), rows: tokens, columns: sizes.width };
  const drops = stepDropout({ ...layout, rate: dropout, seed });
  const fed = ({ canvas, weights }: Shown, targets: Int32Array): HostTensors => {
    const shape = [canvas.labels.length, cells];
    return {
      ids: tokensOf(sizes, canvas),
      targets: int32(shape, targets),
      weights: float32(shape, weights),
    };
  };
  return {
    condition,
    grids,
    described: `${sizes.layers} layers of width ${sizes.width}`,
    draws: 'anywhere',
    widest: Math.max(4 * sizes.width, sizes.heads * tokens),
    learned: specsOf(specs),
    decays,
    precisions,
    inputs(phase, batch): Specs {
      return {
        ids: { shape: [batch, tokens], dtype: 'int32' },
        targets: { shape: [batch, cells], dtype: 'int32' },
        weights: { shape: [batch, cells], dtype: 'float32' },
        ...(phase === 'train' && drops.inputs(batch)),
      };
    },
    feed(phase, key, batch) {
      if (phase === 'eval') return { batched: fed(maskedForValidation(batch, ofCells, key), batch.codes) };
      const shown = masked(batch, ofCells, { schedule, substitute, seed, step: key });
      const { batched, common } = drops.feed(key, batch.labels.length);
      return { batched: { ...fed(shown, batch.codes), ...batched }, common };
    },
    maskedBy: (percent, key, batch) =>
      fed(maskedForValidation(batch, ofCells, key, percent / 100), batch.codes),
    nats(p, inputs, phase) {
      const { ids, targets, weights } = picked(inputs, ['ids', 'targets', 'weights']);
      const dropped = drops.of(inputs);
      const layers = phase === 'train' && precision === 'int8' ? int8Linear : undefined;
      const logits = maskgitLogits(sizes, treeOf(specs, p), ids, { dropout: dropped, layers });
      const smoothing = phase === 'train' ? label_smoothing : 0;
      return tf.mul(natsOfCells(grids, logits, targets, smoothing), weights);
    },
    async open(device, weights, o) {
      const precision = precisions[o.precision ?? 'f32'];
      return openDrawer({ ...o, precision, device, weights, sizes, grids, given: condition.grids, schedule });
    },
    portable: portableMaskgit(sizes, grids, schedule),
  };
}

/**
 * Cross entropy of logits [B·T, K] and targets int32 [B, T], smoothed among the codes of each cell's own grid: [B, T].
 */
function natsOfCells(
  grids: readonly Grid[],
  logits: tf.Tensor,
  targets: tf.Tensor,
  smoothing: number,
): tf.Tensor {
  const [batch, cells] = targets.shape as [number, number];
  const vocabularies = grids.map(({ vocab }) => vocab);
  const nats = (x: tf.Tensor, y: tf.Tensor, codes: number): tf.Tensor => {
    const rows = tf.reshape(x, [-1, last(x.shape)]);
    return tf.reshape(crossEntropy(rows, tf.reshape(y, [-1]), { smoothing, codes }), [batch, -1]);
  };
  if (smoothing === 0 || new Set(vocabularies).size === 1) return nats(logits, targets, nth(vocabularies, 0));
  const sizes = grids.map((grid) => cellsIn([grid]));
  const apart = tf.split(tf.reshape(logits, [batch, cells, -1]), sizes, 1);
  const wanted = tf.split(targets, sizes, 1);
  const ofGrids = grids.map(({ vocab }, i) => nats(nth(apart, i), nth(wanted, i), vocab));
  return tf.concat(ofGrids, 1);
}

/** Of grids with different vocabularies the largest; a cell is drawn among its own grid's codes. */
export function sizesOf(
  { positions, ...settings }: SizeSettings,
  grids: readonly Grid[],
  { classes }: Pick<Condition, 'classes'>,
): MaskgitSizes {
  const codes = Math.max(...grids.map(({ vocab }) => vocab));
  const { layers, heads, width, norm, mlp, qk_norm } = settings;
  const ofClass = classes.length > 0 ? [{ row: -1, column: -1 }] : [];
  return {
    ...{ layers, heads, width, norm, mlp, qk_norm },
    ...{ codes, classes: classes.length, cells: cellsIn(grids) },
    ...(positions === 'rope' && { turns: turnsOf([...ofClass, ...centres(grids)], width / heads) }),
  };
}
