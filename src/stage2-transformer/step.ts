/** One training step of the prior, and its validation, as programs. */
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import type { PriorConfig } from '../config/schema.js';
import type { Graph, GraphProgram, Precision, Specs, StepProgram } from '../engine/device.js';
import { crossEntropy } from '../nn/cross-entropy.js';
import { dropoutFrom, dropoutNoise, noDropout, noiseLength, rowsOfNoise } from '../nn/dropout.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import { initialise, over, specsOf, tensorSpecs, treeOf, under } from '../nn/params.js';
import type { Tokens } from '../tokenize/token-file.js';
import { accumulation } from '../train/accumulation.js';
import { firstScale, lossScaling } from '../train/loss-scale.js';
import { adamSpecs, adamStep } from '../train/optimizer.js';
import { decays, dropoutSites, type GptSizes, gptLogits, gptSpecs } from './gpt/gpt.js';
import { sequencesOf } from './sequences.js';

/** Shapes of the parameters by dotted name. */
const gptShapes = (sizes: GptSizes): Specs => tensorSpecs(specsOf(gptSpecs(sizes)));

const layoutOf = (config: PriorConfig, sizes: GptSizes) => ({
  sites: dropoutSites(sizes),
  rows: config.batch_size * sizes.tokens,
  columns: sizes.width,
});

/** The noise of one training step, for each of its micro-batches; or nothing where dropout is 0. Masks do not depend on their number. */
export function stepNoise(
  config: PriorConfig,
  sizes: GptSizes,
  seed: number,
  step: number,
): { noise?: HostTensor }[] {
  const layout = layoutOf(config, sizes);
  const rows = layout.rows / config.accumulate;
  const noise = config.dropout > 0 ? dropoutNoise(layout, seed, step) : undefined;
  return Array.from({ length: config.accumulate }, (_, i) =>
    noise ? { noise: rowsOfNoise(noise, layout, i * rows, rows) } : {},
  );
}

/**
 * Inputs: `ids` [B, T] (start token, then codes), `targets` [B, T], `lr`, `step` (1 at the first), and `noise` where
 * there is dropout. Outputs: `loss`, nats per token, of the weights before the update; `gradient_norm` before clipping.
 * One run is a step, or with `accumulate` N > 1 one of its N micro-batches (see `train/accumulation.ts`): B is then a micro-batch's
 * size, `first` and `last` are inputs too, and the norm is that of the gradients so far.
 */
export function priorStep(config: PriorConfig, sizes: GptSizes): StepProgram {
  const specs = gptSpecs(sizes);
  const shapes = gptShapes(sizes);
  const batch = config.batch_size / config.accumulate;
  const layout = layoutOf({ ...config, batch_size: batch }, sizes);
  const { precision } = config;
  const accumulated = accumulation(config.accumulate, precision === 'f16');
  const scaling = lossScaling(precision);
  const sequences = { shape: [batch, sizes.tokens], dtype: 'int32' } as const;
  const scalar = { shape: [], dtype: 'float32' } as const;
  const noise = {
    shape: [noiseLength(layout.sites, layout.rows, layout.columns)],
    dtype: 'float32',
  } as const;
  const adam = {
    betas: config.betas,
    epsilon: 1e-8,
    weightDecay: config.weight_decay,
    decays,
  };
  return {
    name: 'prior-step',
    precision,
    state: {
      ...over('model', shapes),
      ...adamSpecs(shapes),
      ...scaling.state,
      ...accumulated.sums('model', shapes),
    },
    inputs: {
      ids: sequences,
      targets: sequences,
      lr: scalar,
      step: scalar,
      ...accumulated.inputs,
      ...(config.dropout > 0 ? { noise } : {}),
    },
    constants: {},
    step(state, inputs) {
      const params = under('model', state);
      const dropout = () =>
        config.dropout > 0 ? dropoutFrom(inputs.noise!, { ...layout, rate: config.dropout }) : noDropout;
      const { value: loss, grads: own } = valueAndGradsOf(
        params,
        (params) =>
          tf.mean(nats(gptLogits(sizes, treeOf(specs, params), inputs.ids!, dropout()), inputs.targets!)),
        scaling.of(state),
      );
      const { grads, state: sums } = accumulated.add('model', own, state, inputs);
      const { step, last } = inputs as { step: tf.Tensor; last?: tf.Tensor };
      const scaled = scaling.settle(grads, state, { clip: config.clip, step, last });
      const updated = adamStep(params, scaled.grads, state, inputs.lr!, scaled.step, {
        ...adam,
        acts: scaled.acts,
      });
      return {
        state: { ...over('model', updated.params), ...updated.state, ...scaled.state, ...sums },
        outputs: { loss, gradient_norm: scaled.norm, ...scaled.outputs },
      };
    },
  };
}

/** Inputs: the weights under `model.…`, `ids` [B, T], `targets` [B, T]. Output: `loss` [B], nats per token of each sequence. */
export function priorEvaluation(sizes: GptSizes, batch: number): GraphProgram {
  const specs = gptSpecs(sizes);
  const sequences = { shape: [batch, sizes.tokens], dtype: 'int32' } as const;
  return {
    name: 'prior-evaluation',
    inputs: { ...over('model', gptShapes(sizes)), ids: sequences, targets: sequences },
    constants: {},
    run(inputs) {
      const logits = gptLogits(sizes, treeOf(specs, under('model', inputs)), inputs.ids!);
      return { loss: perSequence(logits, inputs.targets!) };
    },
  };
}

/** `priorEvaluation` of weights that stay as they are, in the precision that sampling would have them in. */
export function frozenEvaluation(
  sizes: GptSizes,
  weights: HostTensors,
  { batch, precision }: { batch: number; precision: Precision },
): GraphProgram {
  const specs = gptSpecs(sizes);
  const sequences = { shape: [batch, sizes.tokens], dtype: 'int32' } as const;
  return {
    name: `prior-evaluation-${precision}`,
    inputs: { ids: sequences, targets: sequences },
    constants: weights,
    precision,
    run(inputs, constants) {
      const logits = gptLogits(sizes, treeOf(specs, constants), inputs.ids!);
      return { loss: perSequence(logits, inputs.targets!) };
    },
  };
}

/**
 * Mean loss (nats per token) over sequences, in batches of one size; the last one is padded.
 *
 * @param graph `priorEvaluation` or `frozenEvaluation` of batches of `o.batch`
 * @param o.weights what `priorEvaluation` takes beside the sequences
 * @param o.starts as `sequencesOf`
 */
export async function meanLoss(
  graph: Graph,
  tokens: Tokens,
  rows: Int32Array,
  o: { batch: number; weights?: HostTensors; starts?: Int32Array; signal?: AbortSignal },
): Promise<number> {
  const { batch, weights, starts, signal } = o;
  let sum = 0;
  for (let at = 0; at < rows.length && !signal?.aborted; at += batch) {
    const present = rows.subarray(at, at + batch);
    const padded = Int32Array.from({ length: batch }, (_, b) => present[b] ?? present[0]!);
    const { loss } = await graph.run({ ...weights, ...sequencesOf(tokens, padded, starts) });
    for (const nats of loss!.data.subarray(0, present.length)) sum += nats;
  }
  return sum / rows.length;
}

/** Mean cross entropy of every sequence: logits [B, T, K], targets [B, T] → [B]. */
function perSequence(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return tf.mean(tf.reshape(nats(logits, targets), targets.shape as [number, number]), 1);
}

/** Cross entropy of every token: logits [B, T, K], targets [B, T] → [B·T]. */
function nats(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return crossEntropy(tf.reshape(logits, [-1, logits.shape[2]!]), tf.reshape(targets, [-1]));
}

/** The state before the first step. */
export function priorStart(sizes: GptSizes, seed: number, precision: Precision = 'f32'): HostTensors {
  const params = initialise(specsOf(gptSpecs(sizes)), seed);
  const moments = Object.entries(adamSpecs(gptShapes(sizes)));
  return {
    ...over('model', params),
    ...firstScale(lossScaling(precision).state),
    ...Object.fromEntries(
      moments.map(([name, { shape }]) => [name, float32(shape, new Float32Array(sizeOf(shape)))]),
    ),
  };
}
