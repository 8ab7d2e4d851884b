/** What the benchmark times: the programs and the engine of the real commands on random inputs. */
import { expected } from '../base/errors.js';
import { picked } from '../base/lookup.js';
import { type Rng, stream } from '../base/rng.js';
import {
  firstAxis,
  float32,
  type HostTensor,
  type HostTensors,
  int32,
  scalar,
  sizeOf,
} from '../base/tensor.js';
import { parseConfig } from '../config/layers.js';
import type { Config } from '../config/schema.js';
import type { Device, Precision, Specs, StepProgram } from '../engine/device.js';
import { countParams, initialise, specsOf } from '../nn/params.js';
import { lpipsVgg16, type Perceptual, vgg16Shapes } from '../perceptual/distances.js';
import { type Grid, gridsIn } from '../stage1-vqgan/latent.js';
import { modelOf, networksOf } from '../stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../stage1-vqgan/programs.js';
import { initialState } from '../stage1-vqgan/state.js';
import { stage1Step } from '../stage1-vqgan/step.js';
import { blankCanvas, unknown } from '../stage2-transformer/canvas.js';
import { priorOf, priorSettings } from '../stage2-transformer/index.js';
import type { Passes } from '../stage2-transformer/passes.js';
import type { Prior } from '../stage2-transformer/prior.js';
import { priorStart, priorStep } from '../stage2-transformer/step.js';
import { chunkPlanner } from '../train/chunks.js';

export const works = [
  ...(['stage1-ae', 'stage1-gan', 'vae-train', 'encode', 'decode'] as const),
  ...(['prior-train', 'sample', 'pixelcnn-train', 'pixelcnn-sample'] as const),
  ...(['maskgit-train', 'maskgit-sample'] as const),
] as const;
export type WorkName = (typeof works)[number];

export const defaults = {
  threads: 2,
  steps: 7,
  warmup: 2,
  seed: 0,
  batch: 8,
  resolution: 64,
  ch: 32,
  'ch-mult': [1, 2, 4],
  'res-blocks': 1,
  'attn-resolutions': [] as number[],
  'z-channels': 64,
  'embed-dim': 64,
  codes: 512,
  'disc-ch': 32,
  'disc-layers': 2,
  /** Depths of LPIPS-VGG16, with random weights (the cost is the same); 0: no perceptual term. */
  'vgg-taps': 0,
  layers: 6,
  heads: 8,
  width: 256,
  tokens: 256,
  'top-k': 100,
  'decode-steps': 8,
  /** `f16` of training, `int8` of priors. */
  precision: 'f32' as Precision,
  device: 'cpu',
  /** How many rows to print of the slowest operators; what measuring them costs is in the times. */
  profile: 0,
};
export type BenchFlags = typeof defaults;

/** Something to time. */
export interface Work {
  readonly params: number;
  /** Of what one step does `amount`. */
  readonly unit: 'images' | 'tokens';
  readonly amount: number;
  /** Milliseconds of one step. */
  time(): Promise<number>;
  /** Steps run so far. */
  steps(): number;
  dispose(): Promise<void>;
}

export function prepare(work: WorkName, flags: BenchFlags, device: Device): Promise<Work> {
  const prepared = {
    'stage1-ae': stage1Training,
    'stage1-gan': stage1Training,
    'vae-train': stage1Training,
    encode: inference,
    decode: inference,
    'prior-train': priorTraining,
    sample: sampling,
    'pixelcnn-train': priorTraining,
    'pixelcnn-sample': sampling,
    'maskgit-train': priorTraining,
    'maskgit-sample': sampling,
  }[work];
  return prepared(work, flags, device);
}

/** The published objective: no clipping, no average, codes that nobody starts or restarts. */
function configOf(work: WorkName, f: BenchFlags): Config {
  const raw = {
    seed: f.seed,
    data: { size: f.resolution },
    stage1: {
      ch: f.ch,
      ch_mult: f['ch-mult'],
      num_res_blocks: f['res-blocks'],
      norm_groups: 32,
      attn_resolutions: f['attn-resolutions'],
      z_channels: f['z-channels'],
      embed_dim: f['embed-dim'],
      codes: f.codes,
      codebook: { init: 'uniform', warmup: 0, restart_after: 0 },
      disc: { ch: f['disc-ch'], layers: f['disc-layers'], weight: work === 'stage1-gan' ? 0.8 : 0 },
      perceptual: { kind: 'none' }, // --vgg-taps hands its own in
      ...(work === 'vae-train' && {
        bottleneck: { kind: 'gaussian', kl_weight: 1e-6 * 3 * f.resolution ** 2 },
      }),
      batch_size: f.batch,
      clip: 0,
      ema: 0,
      precision: f.precision === 'f16' ? 'f16' : 'f32',
    },
    prior: {
      ...(isPixelcnn(work) && { kind: 'pixelcnn', betas: [0.9, 0.999], weight_decay: 0 }),
      ...(isMaskgit(work) && { kind: 'maskgit', label_smoothing: 0, substitute: 0, mask_schedule: 'cosine' }),
      ...(!isPixelcnn(work) && { norm: 'layer', mlp: 'gelu', qk_norm: false, positions: 'learned' }),
      layers: f.layers,
      heads: f.heads,
      width: f.width,
      dropout: 0,
      batch_size: f.batch,
      clip: 0,
      precision: work.endsWith('-train') ? f.precision : 'f32',
    },
  };
  return parseConfig(raw, 'the flags');
}

async function stage1Training(work: WorkName, flags: BenchFlags, device: Device): Promise<Work> {
  const config = configOf(work, flags);
  const rng = stream(flags.seed, 'bench');
  const networks = networksOf(config);
  const { specs, bottleneck } = networks.model;
  const program = stage1Step(networks, vggOf(flags), config.stage1);
  const initial = initialState(networks, config.stage1, config.seed);
  return {
    params: countParams(specs),
    unit: 'images',
    amount: flags.batch,
    ...(await timeSteps(device, program, initial, (step) => ({
      images: randomImages(rng, config),
      lr: scalar(5e-5),
      step: scalar(step),
      updates: scalar(step),
      ...(program.inputs.disc_step && { disc_step: scalar(step) }),
      ...(work === 'vae-train' && bottleneck.feed('train', step, unlabelled(flags.batch)).batched),
    }))),
  };
}

/** Frozen weights are the same work whatever their values. */
function vggOf({ seed, 'vgg-taps': taps }: BenchFlags): Perceptual | undefined {
  if (taps === 0) return undefined;
  const rng = stream(seed, 'vgg');
  const weights: HostTensors = {};
  for (const [name, shape] of Object.entries(vgg16Shapes(taps))) {
    const spread = 1 / Math.sqrt(sizeOf(shape) / firstAxis({ shape }));
    weights[name] = float32(
      shape,
      Float32Array.from({ length: sizeOf(shape) }, () => spread * rng.normal()),
    );
  }
  return lpipsVgg16(weights, taps);
}

async function inference(work: WorkName, flags: BenchFlags, device: Device): Promise<Work> {
  const config = configOf(work, flags);
  const rng = stream(flags.seed, 'bench');
  const model = modelOf(config);
  const weights = initialise(specsOf(model.specs), flags.seed);
  const program = (work === 'encode' ? encodeProgram : decodeProgram)(model, weights, flags.batch);
  const graph = await device.prepare(program);
  const codes = ({ name, height, width, vocab }: Grid) =>
    [name, randomCodes(rng, [flags.batch, height, width], vocab)] as const;
  const input = (): HostTensors =>
    work === 'encode'
      ? { images: randomImages(rng, config) }
      : Object.fromEntries(gridsIn(model.bottleneck.latent).map(codes));
  return {
    params: countParams(model.specs),
    unit: 'images',
    amount: flags.batch,
    ...timeCalls(() => {
      const fresh = input();
      return () => graph.run(fresh);
    }),
    dispose: () => graph.dispose(),
  };
}

const isPixelcnn = (work: WorkName): boolean => work.startsWith('pixelcnn');
const isMaskgit = (work: WorkName): boolean => work.startsWith('maskgit');

/** As many codes as the flags say, in a row or, for a PixelCNN, a square. @throws UserError where they make none */
function priorOfFlags(work: WorkName, config: Config, { tokens, codes: vocab }: BenchFlags): Prior {
  const height = isPixelcnn(work) ? Math.sqrt(tokens) : 1;
  if (!Number.isInteger(height)) throw expected(`a square number for ${work}`, '--tokens', tokens);
  const grid = { name: 'codes', height, width: tokens / height, vocab };
  return priorOf(priorSettings(config), [grid], { classes: [], grids: [] });
}

const unlabelled = (batch: number): Int32Array => new Int32Array(batch).fill(unknown);

async function priorTraining(work: WorkName, flags: BenchFlags, device: Device): Promise<Work> {
  const config = configOf(work, flags);
  const prior = priorOfFlags(work, config, flags);
  const { batch, tokens } = flags;
  const rng = stream(flags.seed, 'bench');
  const start = priorStart(prior, flags.seed, config.prior.precision);
  return {
    params: countParams(prior.learned),
    unit: 'tokens',
    amount: batch * tokens,
    ...(await timeSteps(device, priorStep(config.prior, prior), start, (step) => {
      const codes = randomCodes(rng, [batch, tokens], flags.codes).data as Int32Array;
      const { batched } = prior.feed('train', step, { codes, labels: unlabelled(batch) });
      return { ...batched, lr: scalar(isPixelcnn(work) ? 3e-4 : 4.5e-4), step: scalar(step) };
    })),
  };
}

async function sampling(work: WorkName, flags: BenchFlags, device: Device): Promise<Work> {
  const prior = priorOfFlags(work, configOf(work, flags), flags);
  const { batch, tokens, codes, precision } = flags;
  const weights = () => initialise(prior.learned, flags.seed);
  const drawer = await prior.open(device, weights(), { batch, cfgScale: 1, precision }); // nothing here keeps them
  const rng = stream(flags.seed, 'bench');
  const topK = work === 'sample' ? Math.min(flags['top-k'], codes) : 0;
  const passes = isMaskgit(work) ? publishedPasses(flags['decode-steps']) : undefined;
  const choice = { temperature: 1, topK, topP: 1 };
  const canvas = blankCanvas(tokens, unlabelled(batch));
  const random = new Array<Rng>(batch).fill(rng);
  return {
    params: countParams(prior.learned),
    unit: 'images',
    amount: batch,
    ...timeCalls(() => () => drawer.draw(canvas, { choice, passes, random })),
    dispose: () => drawer.dispose(),
  };
}

/** arXiv 2202.04200 and its code. */
const publishedPasses = (steps: number): Passes => ({
  steps,
  order: 'confidence',
  choiceTemperature: 4.5,
  revise: 0,
});

const never = Number.POSITIVE_INFINITY;
const endless = { steps: never, eval_every: never, checkpoint_every: never, log_every: never, keep: never };

/**
 * Times a training step as training runs it: as many steps in one call of the engine as the training loop would
 * put there, each with inputs of its own, all losses read.
 */
async function timeSteps(
  device: Device,
  program: StepProgram,
  start: HostTensors,
  inputs: (step: number) => HostTensors,
): Promise<Pick<Work, 'time' | 'steps' | 'dispose'>> {
  const runner = await device.prepareStep(program);
  runner.load(only(program.state, start));
  const planner = chunkPlanner(endless);
  let step = 0;
  return {
    async time() {
      const steps = Array.from({ length: planner.length(0) }, () => inputs(++step));
      const ms = (await elapsed(() => runner.run(steps))) / steps.length;
      planner.took(ms / 1000);
      return ms;
    },
    steps: () => step,
    dispose: () => runner.dispose(),
  };
}

/** In a function of its own: a closure beside the timed one would keep `start` in memory. */
const only = (specs: Specs, start: HostTensors): HostTensors => picked(start, Object.keys(specs));

/** @param prepare gives the call to time, its inputs ready */
function timeCalls(prepare: () => () => Promise<unknown>): Pick<Work, 'time' | 'steps'> {
  let calls = 0;
  return {
    time() {
      calls++;
      return elapsed(prepare());
    },
    steps: () => calls,
  };
}

async function elapsed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

function randomImages(rng: Rng, { data, stage1 }: Config): HostTensor {
  const shape = [stage1.batch_size, data.size, data.size, 3];
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => 2 * rng.uniform() - 1),
  );
}

function randomCodes(rng: Rng, shape: readonly number[], codes: number): HostTensor {
  return int32(
    shape,
    Int32Array.from({ length: sizeOf(shape) }, () => rng.below(codes)),
  );
}
