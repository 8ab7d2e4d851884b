/** The config file: every key, its type and its default. `configs/*.yaml` comments each key for users. */
import * as z from 'zod';
import { bottleneck } from './bottlenecks.js';
import { priorKinds } from './priors.js';

const count = z.int().positive();
const whole = z.int().nonnegative();
/** Of parts that a network is made of one by one. */
const parts = z.int().positive().max(1024);
const mostLevels = 16;
const belowOne = z.number().min(0).lt(1);
const rate = z.number().positive();
const schedule = z.enum(['constant', 'cosine']);

const cadence = {
  log_every: count,
  checkpoint_every: count,
  eval_every: count,
  keep: count,
};

const data = z.strictObject({
  /** Folder of images, subfolders as class labels; null is the built-in data set. */
  dir: z.string().nullable().default(null),
  /** Folder of validation images; null splits `dir` by file-name hash. */
  val_dir: z.string().nullable().default(null),
  /**
   * What the images are: `photographs`, or drawings; `labels`: maps in which each colour means something; `depth`: maps
   * of one value a pixel.
   */
  pictures: z.enum(['photographs', 'labels', 'depth']).default('photographs'),
  /** Of `labels`, their colours; those of the training images unless given. */
  labels: z
    .array(z.string().regex(/^#[0-9a-f]{6}$/, 'a colour such as #3c1098'))
    .max(256)
    .default([]),
  /** Side of the square images, pixels. */
  size: count.default(32),
  flip: z.boolean().default(false),
  val_fraction: z.number().gt(0).lt(1).default(0.1),
  /** Share of the images that may be unreadable, and left out of a training; more than that end it at its start. */
  max_unreadable: z.number().min(0).max(1).default(0.1),
  /** Number of pictures in the built-in data set. */
  drawn: count.default(8000),
});

const disc = z.strictObject({
  ch: count.default(32),
  /** Stride-2 layers before the stride-1 ones (PatchGAN `n_layers`). */
  layers: z.int().positive().max(mostLevels).default(2),
  loss: z.enum(['hinge', 'vanilla']).default('hinge'),
  /**
   * First step at which the discriminator is trained; below 1 a fraction of `steps`; `flat`: when the reconstruction
   * error has stopped falling.
   */
  start: z.union([z.number().nonnegative(), z.literal('flat')]).default(0.7),
  /** Steps from `start` on in which it is trained but does not act on the generator. */
  warmup: whole.default(0),
  /** λ's factor; 0 trains no discriminator. */
  weight: z.number().nonnegative().default(0.4),
  /** Upper bound of the adaptive λ before the factor. */
  weight_cap: rate.default(10),
  /**
   * `batch`, `group`: how its inner layers are normalised; `spectral`: every layer's filter divided by its largest
   * singular value. With `batch` images of a batch act on each other.
   */
  norm: z.enum(['batch', 'group', 'spectral']).default('batch'),
  /** Weight of the LeCam term; 0 has none. */
  lecam: z.number().nonnegative().default(0),
  /** γ of the R1 gradient penalty; 0 has none. */
  r1: z.number().nonnegative().default(0),
  /** How the pictures are changed that it judges, real and reconstructed ones alike. */
  augment: z.array(z.enum(['translation', 'cutout', 'colour'])).default([]),
});

const corrupt = z.strictObject({
  /**
   * What the encoder sees of a training image: `none`, all of it; `noise`: with Gaussian noise; `mask`: with hidden
   * cells.
   */
  kind: z.enum(['none', 'noise', 'mask']).default('none'),
  /** Of noise the standard deviation, where pixels are from −1 to 1; of a mask the share of hidden cells. */
  amount: rate.default(0.3),
});

const perceptual = z.strictObject({
  kind: z.enum(['none', 'vqgen', 'random-features', 'lpips-vgg16']).default('vqgen'),
  weight: z.number().nonnegative().default(1),
  /**
   * safetensors file of `lpips-vgg16`; of `vqgen` a folder of `train-perceptual` or its file, null for the weights
   * that come with vqgen.
   */
  weights: z.string().nullable().default(null),
});

const codebook = z.strictObject({
  /**
   * `data`: encoder outputs of the step `warmup` become the codes; until then nothing is quantised. `uniform`: U(−1/K,
   * 1/K).
   */
  init: z.enum(['data', 'uniform']).default('data'),
  warmup: whole.default(100),
  /** A code unused for this many steps becomes an encoder output of the batch; 0 never. */
  restart_after: whole.default(50),
});

const stage1 = z.strictObject({
  /**
   * `vqgan`: residual blocks with GroupNorm, and attention where `attn_resolutions` says; `strided`: the plain strided
   * convolutions of VQ-VAE.
   */
  network: z.enum(['vqgan', 'strided']).default('vqgan'),
  /** `photo`: the decoder's pictures pass a filter that leaves no pattern of two pixels, and no finer colour. */
  filter: z.enum(['none', 'photo']).default('none'),
  /** Of `strided`, how its decoder doubles the picture's sides: as published, or by neighbours and a 3×3 filter. */
  upsampling: z.enum(['transposed', 'nearest']).default('transposed'),
  ch: count.default(32),
  ch_mult: z.array(count).min(1).max(mostLevels).default([1, 2, 2]),
  num_res_blocks: parts.default(1),
  /** Groups of channels that GroupNorm normalises; published: 32, for 128 channels and more. */
  norm_groups: count.default(8),
  attn_resolutions: z.array(count).max(mostLevels).default([]),
  z_channels: count.default(32),
  embed_dim: count.default(32),
  codes: count.default(256),
  beta: z.number().nonnegative().default(0.25),
  /** The published code's reading of beta: on the codebook term, commitment × 1. */
  legacy_beta: z.boolean().default(false),
  bottleneck: bottleneck.prefault({}),
  codebook: codebook.prefault({}),
  corrupt: corrupt.prefault({}),
  /** `nll`: Gaussian likelihood whose variance is the batch's own error, so that a VAE needs no weight. */
  pixel: z.enum(['l1', 'l2', 'nll']).default('l1'),
  disc: disc.prefault({}),
  perceptual: perceptual.prefault({}),
  steps: count.default(2000),
  /** Images of an optimiser step. */
  batch_size: count.default(16),
  /** Micro-batches that a batch is computed as, one after another; divides `batch_size`. */
  accumulate: count.default(1),
  /** `f16`: mixed precision with loss scaling. */
  precision: z.enum(['f32', 'f16']).default('f32'),
  optimizer: z.enum(['adam', 'adamw']).default('adam'),
  lr: rate.default(8e-4),
  betas: z.tuple([belowOne, belowOne]).default([0.5, 0.9]),
  weight_decay: z.number().nonnegative().default(0),
  warmup: whole.default(100),
  schedule: schedule.default('cosine'),
  /** Largest global gradient norm, of generator and discriminator each; 0 does not clip. */
  clip: z.number().nonnegative().default(1),
  /** Decay of the weights' running average; 0 keeps none. */
  ema: belowOne.default(0.999),
  log_every: cadence.log_every.default(50),
  checkpoint_every: cadence.checkpoint_every.default(500),
  eval_every: cadence.eval_every.default(500),
  keep: cadence.keep.default(2),
});

const tokenize = z.strictObject({
  /** Codings of each training image; those after the first are mirrored (with `data.flip`) or cropped elsewhere. */
  codings: count.default(1),
});

const prior = z.strictObject({
  /** null: the `seed` of the whole run. */
  seed: whole.nullable().default(null),
  ...priorKinds,
  /** What it is told of an image: `subfolders`: the one it lies in, where there are two or more; `none`: nothing. */
  class_labels: z.enum(['subfolders', 'none']).default('subfolders'),
  /** Share of the training sequences that it is not told the class of. */
  class_dropout: belowOne.default(0.1),
  steps: count.default(1500),
  batch_size: count.default(32),
  /** As in `stage1`. */
  accumulate: count.default(1),
  /** As in `stage1`; `int8`: the blocks' products in 8-bit integers, not of `pixelcnn`. */
  precision: z.enum(['f32', 'f16', 'int8']).default('f32'),
  lr: rate.default(1e-3),
  betas: z.tuple([belowOne, belowOne]).default([0.9, 0.95]),
  weight_decay: z.number().nonnegative().default(0.01),
  warmup: whole.default(100),
  schedule: schedule.default('cosine'),
  clip: z.number().nonnegative().default(1),
  /** Validations in a row without a better one after which it ends; 0: never. */
  patience: whole.default(0),
  log_every: cadence.log_every.default(50),
  checkpoint_every: cadence.checkpoint_every.default(300),
  eval_every: cadence.eval_every.default(300),
  keep: cadence.keep.default(2),
});

const sample = z.strictObject({
  temperature: z.number().positive().default(1),
  /** Draw among the k likeliest codes; 0 among all. */
  top_k: whole.default(0),
  /** Draw among the likeliest codes that together have this probability; 1 among all. */
  top_p: z.number().gt(0).max(1).default(0.92),
  /** Classifier-free guidance: how much of the difference that the class makes is added; 1 as it is. */
  cfg_scale: z.number().nonnegative().default(1),
  /** How it grows from 1 at the first code or pass to `cfg_scale` at the last; null: `linear` of `maskgit` alone. */
  cfg_growth: z.enum(['constant', 'linear', 'cosine']).nullable().default(null),
  /** Of `maskgit`, as all that follows: passes in which a picture is drawn. */
  decode_steps: count.default(8),
  /** `halton`: cells far from each other come first; `confidence`: what the network is surest of is kept first. */
  order: z.enum(['halton', 'confidence']).default('halton'),
  /** Of `confidence`: how much chance decides beside it, falling to 0 at the last pass. */
  choice_temperature: z.number().nonnegative().default(4.5),
  /** Share of the codes drawn so far that a pass may mask again, falling to 0 at the last pass. */
  revise: belowOne.default(0),
});

export const configSchema = z.strictObject({
  seed: whole.default(0),
  data: data.prefault({}),
  stage1: stage1.prefault({}),
  tokenize: tokenize.prefault({}),
  prior: prior.prefault({}),
  sample: sample.prefault({}),
});

export type Config = z.output<typeof configSchema>;
export type DataConfig = Config['data'];
export type Stage1Config = Config['stage1'];
export type PriorConfig = Config['prior'];
export type SampleConfig = Config['sample'];
