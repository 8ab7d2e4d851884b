/**
 * A whole training step of each stage with everything on, small enough for every device: program, state and inputs by
 * step.
 */
import { permutation, stream } from '../../src/base/rng.js';
import { float32, type HostTensors, int32, scalar } from '../../src/base/tensor.js';
import { type Config, configSchema, type PriorConfig } from '../../src/config/schema.js';
import type { StepProgram } from '../../src/engine/device.js';
import { randomFeatures } from '../../src/perceptual/distances.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import type { Prior } from '../../src/stage2-transformer/prior.js';
import { priorStart, priorStep } from '../../src/stage2-transformer/step.js';
import { microBatches } from '../../src/train/accumulation.js';
import { priorOfSizes } from './gpt.js';
import { maskgitOf } from './maskgit.js';
import { startOf, stepOf } from './networks.js';
import { ids, noise } from './parity.js';
import { bottom, pixelcnnOf, top } from './pixelcnn.js';

const stage1 = {
  ch: 8,
  ch_mult: [1, 2],
  attn_resolutions: [4],
  z_channels: 6,
  embed_dim: 4,
  codes: 12,
  codebook: { init: 'data', warmup: 1, restart_after: 2 },
  disc: { ch: 4, layers: 1, weight: 0.8 },
  batch_size: 2,
  optimizer: 'adamw',
  weight_decay: 0.01,
  clip: 0.5,
  ema: 0.99,
  steps: 20,
};

const withStage1 = (o: object): Config =>
  configSchema.parse({
    data: { size: 8 },
    stage1: { ...stage1, ...o },
    prior: { layers: 2, heads: 2, width: 16, dropout: 0.2, batch_size: 3, clip: 0.5 },
  });

export const config = withStage1({});

/** An autoencoder of one level, for what changes around it: preparing a step takes as long as it has nodes. */
export const small = { ch: 4, ch_mult: [1], attn_resolutions: [], perceptual: { kind: 'none' } };

const onSmall = ([name, keys]: [string, object]): [string, object] => [name, { ...small, ...keys }];

/** Kinds of bottleneck beside the default one, as keys of `stage1`. */
export const bottlenecks = (
  [
    ['nearest, rotation', { bottleneck: { gradient: 'rotation' } }],
    ['ema', { bottleneck: { kind: 'ema', decay: 0.9 } }],
    ['cosine, rotation', { bottleneck: { kind: 'cosine', gradient: 'rotation' } }],
    ['fsq', { bottleneck: { kind: 'fsq', levels: [3, 4] } }],
    ['lfq', { bottleneck: { kind: 'lfq' }, codes: 16 }],
    [
      'hierarchy, strided',
      {
        network: 'strided',
        ch: 8,
        ch_mult: [1, 2],
        bottleneck: {
          kind: 'hierarchy',
          levels: [
            { kind: 'ema', codes: 6 },
            { kind: 'cosine', codes: 9, embed_dim: 3 },
          ],
          gradient: 'rotation',
        },
      },
    ],
    [
      'none, masked',
      { bottleneck: { kind: 'none' }, corrupt: { kind: 'mask', amount: 0.5 }, ch_mult: [1, 1] },
    ],
    [
      'gaussian, noise',
      {
        bottleneck: { kind: 'gaussian', shape: 'vector', latent_dim: 6, free_bits: 0.1 },
        pixel: 'nll',
        corrupt: { kind: 'noise' },
      },
    ],
  ] as [string, object][]
).map(onSmall);

/** Ways to regularise the discriminator, as keys of `stage1`. */
export const adversaries = (
  [['spectral norm and LeCam', { disc: { ...stage1.disc, norm: 'spectral', lecam: 0.3 } }]] as [
    string,
    object,
  ][]
).map(onSmall);

/** Kinds of bottleneck that work in micro-batches, as keys of `stage1`. */
export const inParts: [string, object][] = [
  ['nearest', small],
  ...bottlenecks.filter(([name]) => /^(cosine|lfq)/.test(name)),
];

export interface Training {
  readonly program: StepProgram;
  readonly start: HostTensors;
  /** Of step 1, 2, … */
  readonly inputs: (step: number) => HostTensors;
}

const featuresOf = ({ stage1 }: Config) =>
  stage1.perceptual.kind === 'none' ? undefined : randomFeatures(8);

/** @param o keys of `stage1` in place of the config's */
export function stage1Training(adversarial: boolean, o: object = {}): Training {
  const config = withStage1(o);
  const program = stepOf(config, featuresOf(config), { adversarial });
  const all = startOf(config);
  const { bottleneck, corruption } = modelOf(config);
  const images = noise([2, 8, 8, 3], 'images', 0.4);
  return {
    program,
    start: Object.fromEntries(Object.keys(program.state).map((name) => [name, all[name]!])),
    inputs: (step) => ({
      images,
      lr: scalar(1e-4 * step),
      step: scalar(step),
      updates: scalar(step),
      ...bottleneck.feed('train', step, new Int32Array(2)).runs?.[0],
      ...('pick' in program.inputs && {
        pick: int32([12], permutation(32, stream('pick', step)).slice(0, 12)),
      }),
      ...(adversarial && { disc_step: scalar(step) }),
      ...corruption.feed(step, 2),
      ...bottleneck.feed('train', step, new Int32Array(2)).batched,
    }),
  };
}

/**
 * Steps of two micro-batches: every second run ends one. The codes, if they start from data, do so after the second
 * run.
 *
 * @param o keys of `stage1` in place of the config's
 */
export function accumulatingTraining(o: object = {}): Training {
  const parts = withStage1({ ...o, accumulate: 2 });
  const program = stepOf(parts, featuresOf(parts), { adversarial: true });
  const all = startOf(parts);
  return {
    program,
    start: Object.fromEntries(
      Object.entries(program.state).map(([name, { shape }]) => [name, all[name] ?? float32(shape)]),
    ),
    inputs: (run) => {
      const step = 1 + Math.ceil(run / 2);
      return {
        images: noise([1, 8, 8, 3], `image ${run}`, 0.4),
        lr: scalar(1e-4 * step),
        step: scalar(step),
        updates: scalar(step),
        disc_step: scalar(step),
        first: scalar(run % 2),
        last: scalar(1 - (run % 2)),
        ...('pick' in program.inputs && {
          pick: int32([12], permutation(16, stream('pick', step)).slice(0, 12)),
          own: float32(
            [12, 1],
            Float32Array.from({ length: 12 }, (_, code) => (code + run) % 2),
          ),
          start: scalar(run === 2 ? 1 : 0),
        }),
      };
    },
  };
}

export function priorTraining(precision: 'f32' | 'f16' = 'f32'): Training {
  const { dropout } = config.prior;
  const prior = priorOfSizes({ ...config.prior, codes: 7, tokens: 6 }, { dropout, seed: 5 });
  const labels = Int32Array.of(-1, -1, -1);
  return {
    program: priorStep({ ...config.prior, precision }, prior),
    start: priorStart(prior, 3, precision),
    inputs: (step) => {
      const codes = ids([3, 6], 7, `codes ${step}`).data as Int32Array;
      const { batched, common } = prior.feed('train', step, { codes, labels });
      return { ...batched, ...common, lr: scalar(1e-3), step: scalar(step) };
    },
  };
}

/** Two grids of which the second is told the first and a given one, classes and attention. */
export function pixelcnnTraining(accumulate = 1): Training {
  const settings = { layers: 2, dropout: 0.2, attention_every: 2, accumulate, seed: 5 };
  return ofTwoGrids(
    settings,
    pixelcnnOf([top, bottom], { given: [given], classes: ['a', 'b'], ...settings }),
  );
}

/** Two grids and a given one, classes, wrong codes among the visible ones. */
export function maskgitTraining(accumulate = 1): Training {
  const settings = { layers: 2, dropout: 0.2, substitute: 0.5, accumulate, seed: 5 };
  return ofTwoGrids(settings, maskgitOf([top, bottom], { given: [given], classes: ['a', 'b'], ...settings }));
}

const given = { name: 'given', height: 3, width: 2, vocab: 4 };

function ofTwoGrids(settings: Partial<PriorConfig> & { accumulate: number }, prior: Prior): Training {
  const { accumulate } = settings;
  const batch_size = 4;
  const labels = Int32Array.of(-1, 1, 0, -1);
  return {
    program: priorStep({ ...config.prior, ...settings, batch_size }, prior),
    start: priorStart(prior, 3),
    inputs: (run) => {
      const step = Math.ceil(run / accumulate);
      const part = (run - 1) % accumulate;
      const codes = ids([4, 32], 4, `codes ${step}`).data as Int32Array;
      const { batched = {}, common } = prior.feed('train', step, { codes, labels });
      return microBatches(accumulate, batched, { ...common, lr: scalar(1e-3), step: scalar(step) })[part]!;
    },
  };
}
