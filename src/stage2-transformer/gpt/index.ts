/** The prior `gpt`: a transformer that reads the codes one after another, all grids end to end. */
import * as tf from '@tensorflow/tfjs-core';
import { picked } from '../../base/lookup.js';
import { firstAxis } from '../../base/tensor.js';
import type { PriorConfig } from '../../config/schema.js';
import type { Specs } from '../../engine/device.js';
import { crossEntropy } from '../../nn/cross-entropy.js';
import { dropoutFrom, noDropout, noiseLength, noisePerRun } from '../../nn/dropout.js';
import { specsOf, treeOf } from '../../nn/params.js';
import { dropoutSites } from '../../nn/transformer.js';
import { cellsIn, vocabulary } from '../../stage1-vqgan/grids.js';
import type { Feed, Grid } from '../../stage1-vqgan/latent.js';
import { drawerOf, sequencesFor } from '../drawer.js';
import type { Condition, Prior } from '../prior.js';
import { openCachedModel } from './cache.js';
import { decays, type GptSizes, gptLogits, gptSpecs } from './gpt.js';
import { portableGpt } from './portable.js';
import { corrupted, sequencesOf, startTokens } from './sequences.js';

/** What it takes of the config's section, and the seed that acts. */
type Settings = Pick<PriorConfig, 'layers' | 'heads' | 'width' | 'dropout' | 'pkeep' | 'accumulate'> & {
  readonly seed: number;
};

/** Of grids with different vocabularies the largest; a cell is drawn among its own grid's codes. */
export function gptSizes(
  { layers, heads, width }: Pick<Settings, 'layers' | 'heads' | 'width'>,
  grids: readonly Grid[],
  classes = 0,
): GptSizes {
  const codes = Math.max(...grids.map(({ vocab }) => vocab));
  return { layers, heads, width, codes, classes, tokens: cellsIn(grids) };
}

export function gptPrior(settings: Settings, drawn: readonly Grid[], condition: Condition): Prior {
  const { dropout, pkeep, accumulate, seed } = settings;
  const grids = [...condition.grids, ...drawn];
  const sizes = gptSizes(settings, grids, condition.classes.length);
  const { codes, tokens, width } = sizes;
  const specs = gptSpecs(sizes);
  const given = cellsIn(condition.grids);
  const noiseLayout = (batch: number) => ({
    sites: dropoutSites(sizes),
    rows: batch * tokens,
    columns: width,
  });
  const noiseOf = (step: number, batch: number): NonNullable<Feed['runs']> =>
    noisePerRun(noiseLayout(batch), seed, { step, runs: accumulate }).map((noise) => ({ noise }));
  return {
    condition,
    grids,
    described: `${sizes.layers} layers of width ${width}`,
    draws: 'in order',
    learned: specsOf(specs),
    decays,
    precisions: ['f32', 'int8'],
    inputs(phase, batch): Specs {
      const sequences = { shape: [batch, tokens], dtype: 'int32' } as const;
      const { sites, rows, columns } = noiseLayout(batch);
      const noise = { shape: [noiseLength(sites, rows, columns)], dtype: 'float32' } as const;
      return { ids: sequences, targets: sequences, ...(phase === 'train' && dropout > 0 && { noise }) };
    },
    feed(phase, step, batch) {
      const { ids, targets } = sequencesOf(codes, batch);
      if (phase === 'eval') return { batched: { ids, targets } };
      return {
        batched: {
          ids: pkeep < 1 ? corrupted(ids, { pkeep, vocabulary: vocabulary(grids), seed, step }) : ids,
          targets,
        },
        ...(dropout > 0 && { runs: noiseOf(step, batch.labels.length) }),
      };
    },
    nats(p, inputs) {
      const { ids, targets } = picked(inputs, ['ids', 'targets']);
      const { noise } = inputs;
      const { rows, columns } = noiseLayout(firstAxis(ids));
      const dropped = noise ? dropoutFrom(noise, { rows, columns, rate: dropout }) : noDropout;
      const logits = gptLogits(sizes, treeOf(specs, p), ids, dropped);
      const nats = crossEntropy(tf.reshape(logits, [-1, codes]), tf.reshape(targets, [-1])); // [B·T]
      const each = tf.reshape(nats, ids.shape);
      return given === 0 ? each : tf.mul(each, predicted(given, tokens));
    },
    async open(device, weights, o) {
      const { batch, cfgScale, precision } = { ...o, batch: sequencesFor(o) };
      const model = await openCachedModel({ sizes, weights, batch, precision, device });
      return drawerOf(model, { grids, cfgScale, starts: (labels) => startTokens(codes, labels) });
    },
    portable: portableGpt(sizes, grids),
  };
}

/** [1, T]: 0 for the first cells, which are given, 1 for the others. */
const predicted = (given: number, tokens: number): tf.Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: tokens }, (_, cell) => (cell < given ? 0 : 1)),
    [1, tokens],
  );
