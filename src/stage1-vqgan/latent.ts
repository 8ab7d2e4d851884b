/**
 * The contracts of a tokenizer. A latent is what an image becomes; a bottleneck stands between encoder and decoder and
 * owns all that is particular to its kind: parameters, state, loss terms, what it is fed and how its values begin.
 * Each kind is a file of `bottlenecks/` and a section of the config (`config/bottlenecks.ts`).
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../base/tensor.js';
import type { Specs, Tensors } from '../engine/device.js';
import type { ParamSpec } from '../nn/params.js';

/** Codes that lie in rows and columns. */
export interface Grid {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  /** K: codes are 0 to K − 1. */
  readonly vocab: number;
}

/** What a source of latents has to draw. Shapes are of one image. */
export type Latent =
  | { readonly kind: 'codes'; readonly grids: readonly Grid[] }
  /** Numbers around N(0, I), or around a mean for each of the classes. */
  | { readonly kind: 'gaussian'; readonly shape: readonly number[]; readonly classes: readonly string[] }
  /** Numbers of which nothing is known beforehand. */
  | { readonly kind: 'plain'; readonly shape: readonly number[] };

/** The tensors of a latent of `batch` images by their names: each grid's codes, or numbers under `latent`. */
export function latentSpecs(latent: Latent, batch: number): Specs {
  if (latent.kind !== 'codes') return { latent: { shape: [batch, ...latent.shape], dtype: 'float32' } };
  return Object.fromEntries(
    latent.grids.map(({ name, height, width }) => [
      name,
      { shape: [batch, height, width], dtype: 'int32' as const },
    ]),
  );
}

/** The grids of codes that an image becomes; none where it becomes numbers. */
export const gridsIn = (latent: Latent): readonly Grid[] => (latent.kind === 'codes' ? latent.grids : []);

/** For people: `8×8 codes of 256`, of several grids `top 4×4 codes of 256, bottom …`; `8×8×16 numbers`. */
export function describeLatent(latent: Latent): string {
  if (latent.kind !== 'codes') return `${latent.shape.join('×')} numbers`;
  const { grids } = latent;
  const called = (name: string) => (grids.length > 1 ? `${name} ` : '');
  return grids
    .map(({ name, height, width, vocab }) => `${called(name)}${height}×${width} codes of ${vocab}`)
    .join(', ');
}

/** One pass through a bottleneck. */
export interface Passed {
  /** What the decoder sees, [B, h, w, `channels.out`]. */
  readonly output: tf.Tensor;
  /** The same without the noise of training; where there is none, it is left out. */
  readonly mode?: tf.Tensor;
  /** int32 [B, h, w] for each grid. */
  readonly codes: readonly tf.Tensor[];
  /** Scalars by their names in the metrics, unweighted. */
  readonly terms: Tensors;
  /** For validation: a number for each unit of the latent, by names in the metrics. */
  readonly units?: Tensors;
  /** What the generator's objective has of it; a scalar. */
  readonly loss: tf.Tensor;
  /** What `after` wants of the pass beside. */
  readonly inner?: readonly tf.Tensor[];
}

/**
 * What a step feeds: of `batched` [B, …] each micro-batch has its share of the rows, of `common` all, of `runs` the
 * i-th run of the program has the i-th.
 */
export interface Feed {
  readonly batched?: HostTensors;
  readonly common?: HostTensors;
  /** As many as micro-batches, or twice as many where the step goes through them twice. */
  readonly runs?: readonly HostTensors[];
}

/** What a pass is for: a step of training, or a validation of images `key` on. */
export type Phase = 'train' | 'eval';

/** Names of parameters, state and inputs are a bottleneck's own; `p` holds all its parameters by them. */
export interface Bottleneck {
  readonly latent: Latent;
  /** Of what it takes from the encoder, and of what it gives the decoder. */
  readonly channels: { readonly in: number; readonly out: number };
  /**
   * Whether z is the encoder's features as they are (`Place.features` of them); if not, a 1×1 convolution makes
   * `channels.in` of them.
   */
  readonly takesFeatures?: boolean;
  /** Parameters that the optimiser moves. */
  readonly learned: Record<string, ParamSpec>;
  /** Parameters that it moves by a rule of its own; the optimiser knows nothing of them. */
  readonly own: Record<string, ParamSpec>;
  /** What it keeps from step to step beside its parameters. */
  readonly state: Record<string, ParamSpec>;
  /** What the micro-batches of a step hand on to each other. */
  readonly partial: Specs;
  /** Names of the terms, for the metrics, and of the lists of a number for each unit. */
  readonly terms: readonly string[];
  readonly units?: readonly string[];
  /** The first step (1-based) at which it does to z what it will go on doing. */
  readonly settles: number;
  /**
   * One for a training: called with each of its train lines in order, it says what the user should be warned of, if
   * anything. A step that comes again was taken back, and what was seen from it on no longer counts.
   */
  watch(): (step: number, values: Record<string, number>) => string | undefined;
  /**
   * Further measures of a validation, from the means of its scalars; `sampled_mse` is the mean squared error with the
   * noise of training.
   */
  measures?(means: Record<string, number>): Record<string, number>;
  /** The class of taming-transformers that has it. */
  readonly published?: 'VQModel' | 'GumbelVQ';
  /** Whether it encodes and decodes but cannot be trained here. */
  readonly importedOnly?: boolean;

  /**
   * Beside `step`, and in micro-batches `first` and `last`, which every training step has. @param batch images of a
   * run
   */
  inputs(phase: Phase, batch: number): Specs;
  /**
   * @param key the step (1-based), or the number of the first image. @param labels [B] of the batch, into the data
   * set's classes
   */
  feed(phase: Phase, key: number, labels: Int32Array): Feed;

  /** Before the pass of a training step: the parameters to use, and what `pass` is told beside the inputs. */
  begin?(p: Tensors, z: tf.Tensor, inputs: Tensors): { readonly p: Tensors; readonly inputs: Tensors };
  /** z [B, h, w, `channels.in`]. Without inputs, as a finished model does it. */
  pass(p: Tensors, z: tf.Tensor, inputs: Tensors): Passed;
  /**
   * After the optimiser: its parameters and state, and by names of parameters a mask (it broadcasts), 1 for numbers
   * that are new since this step: whatever is averaged over steps starts anew for these.
   *
   * @param state both `state` and `partial`
   */
  after?(
    p: Tensors,
    z: tf.Tensor,
    passed: Passed,
    state: Tensors,
    inputs: Tensors,
  ): { readonly p: Tensors; readonly state: Tensors; readonly partial: Tensors; readonly fresh: Tensors };

  /**
   * Of a latent that is drawn around something: how far each image's lies from it, `kl` [B] in nats, its mean less
   * what it is drawn around, `away` [B, …], and what the decoder sees of a draw.
   */
  posterior?(
    p: Tensors,
    z: tf.Tensor,
    inputs: Tensors,
  ): { readonly kl: tf.Tensor; readonly away: tf.Tensor; readonly drawn: tf.Tensor };

  /** z → codes int32 [B, h, w] of each grid, or one tensor of numbers. */
  encode(p: Tensors, z: tf.Tensor): tf.Tensor[];
  /** The reverse: [B, h, w, `channels.out`]. */
  decode(p: Tensors, latent: readonly tf.Tensor[]): tf.Tensor;
}

/** The sizes that a bottleneck is made for. */
export interface Place {
  /** Side h = w of what the encoder gives. */
  readonly side: number;
  /** What the grid is called, where there are others. */
  readonly grid?: string;
  /** Channels of the encoder's features. */
  readonly features: number;
  /** Images of a training step, and micro-batches that it is computed as. */
  readonly batch: number;
  readonly parts: number;
  readonly seed: number;
  /** Numbers of an image, S · S · 3. */
  readonly dims: number;
}
