/** One training step of a prior, and its validation, as programs. */

import * as tf from '@tensorflow/tfjs-core';
import { entry, nth, pairs, picked } from '../base/lookup.js';
import { float32, type HostTensors, sizeOf } from '../base/tensor.js';
import type { PriorConfig } from '../config/schema.js';
import type { Graph, GraphProgram, Named, Precision, StepProgram, Tensors } from '../engine/device.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import { partsOf } from '../nn/in-parts.js';
import { initialise, over, tensorSpecs, under } from '../nn/params.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { accumulation } from '../train/accumulation.js';
import { firstScale, lossScaling } from '../train/loss-scale.js';
import { adamSpecs, adamStep } from '../train/optimizer.js';
import type { Canvas } from './canvas.js';
import { inTurn, sharedOf } from './in-turn.js';
import type { Prior } from './prior.js';
import { canvasOf, type Labelled } from './sequences.js';

/** More would take long to prepare. */
const mostParts = 4;

export type PriorStepSettings = Pick<
  PriorConfig,
  'batch_size' | 'accumulate' | 'precision' | 'betas' | 'weight_decay' | 'clip'
>;

/**
 * Inputs: those of the prior for a batch, `lr`, `step` (1 at Adam's first). Outputs: `loss`, nats per token, of the
 * weights before the update, and where several grids are drawn that of each; `gradient_norm` before clipping. One run
 * is a step, or with `accumulate` N > 1 one of its N micro-batches (see `train/accumulation.ts`): the prior's batch
 * is then a micro-batch, `first` and `last` are inputs too, and the norm is that of the gradients so far.
 */
export function priorStep(settings: PriorStepSettings, prior: Prior): StepProgram {
  const shapes = tensorSpecs(prior.learned);
  const { batch_size, accumulate, precision, betas, weight_decay, clip } = settings;
  const accumulated = accumulation(accumulate, precision === 'f16');
  const scaling = lossScaling(precision);
  const scalar = { shape: [], dtype: 'float32' } as const;
  const adam = {
    betas,
    epsilon: 1e-8,
    weightDecay: weight_decay,
    decays: prior.decays,
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
      ...prior.inputs('train', batch_size / accumulate),
      lr: scalar,
      step: scalar,
      ...accumulated.inputs,
    },
    constants: {},
    step(state, inputs) {
      const params = under('model', state);
      const canvases = batch_size / accumulate;
      const parts = partsOf(canvases, 4 * prior.widest * cellsIn(prior.grids), mostParts);
      const shared = sharedOf(prior.inputs('train', canvases), prior.inputs('train', canvases / parts));
      const { losses, grads: own } = inTurn(parts, inputs, shared, (part) => {
        let ofGrids: Tensors = {};
        const objective = (params: Tensors): tf.Tensor => {
          const nats = prior.nats(params, part, 'train');
          ofGrids = lossesByGrid(prior, nats);
          for (const loss of Object.values(ofGrids)) tf.keep(loss); // beyond the scope of the gradients
          return perToken(prior, tf.mean(tf.reshape(nats, [-1])));
        };
        const { value: loss, grads } = valueAndGradsOf(params, objective, scaling.of(state));
        for (const [name, loss] of Object.entries(ofGrids)) {
          ofGrids[name] = tf.clone(loss);
          loss.dispose();
        }
        return { losses: { loss, ...ofGrids }, grads };
      });
      const { grads, state: sums } = accumulated.add('model', own, state, inputs);
      const { lr, step } = picked(inputs, ['lr', 'step']);
      const scaled = scaling.settle(grads, state, { clip, step, last: inputs.last });
      const moved = { ...adam, acts: scaled.acts };
      const updated = adamStep(params, scaled.grads, state, lr, scaled.step, moved);
      return {
        state: { ...over('model', updated.params), ...updated.state, ...scaled.state, ...sums },
        outputs: { ...losses, gradient_norm: scaled.norm, ...scaled.outputs },
      };
    },
  };
}

/**
 * Inputs: the weights under `model.…`, and those of the prior. Outputs: `loss` [B], nats per token of each canvas,
 * and where several grids are drawn those of each.
 */
export function priorEvaluation(prior: Prior, batch: number): GraphProgram<never, 'loss'> {
  return {
    name: 'prior-evaluation',
    inputs: { ...over('model', tensorSpecs(prior.learned)), ...prior.inputs('eval', batch) },
    constants: {},
    run: (inputs) => perCanvas(prior, prior.nats(under('model', inputs), inputs, 'eval')),
  };
}

/** `priorEvaluation` of weights that stay as they are, in the precision that sampling would have them in. */
export function frozenEvaluation(
  prior: Prior,
  weights: HostTensors,
  { batch, precision }: { batch: number; precision: Precision },
): GraphProgram<never, 'loss'> {
  return {
    name: `prior-evaluation-${precision}`,
    inputs: prior.inputs('eval', batch),
    constants: weights,
    precision: prior.precisions[precision],
    run: (inputs, constants) => perCanvas(prior, prior.nats(constants, inputs, 'eval')),
  };
}

/** `nats` [B, T]: what each cell of each canvas costs, see `Prior.nats`. */
export function frozenNats(prior: Prior, weights: HostTensors, batch: number): GraphProgram<never, 'nats'> {
  return {
    name: 'prior-nats',
    inputs: prior.inputs('eval', batch),
    constants: weights,
    run: (inputs, constants) => ({ nats: prior.nats(constants, inputs, 'eval') }),
  };
}

const perCanvas = (prior: Prior, nats: tf.Tensor): Named<'loss'> => ({
  loss: perToken(prior, tf.mean(nats, 1)),
  ...lossesByGrid(prior, nats, 1),
});

/** Names of the losses: of all tokens, and where several grids are drawn of those of each. */
export function lossNames({ grids, condition }: Prior): string[] {
  const drawn = grids.slice(condition.grids.length);
  return ['loss', ...(drawn.length > 1 ? drawn.map(({ name }) => `loss_${name}`) : [])];
}

/**
 * Means over each drawn grid's cells, where there are several: of all canvases, or along an axis.
 *
 * @param nats [B, T]
 */
function lossesByGrid(prior: Prior, nats: tf.Tensor, axis?: number): Tensors {
  const [, ...names] = lossNames(prior);
  if (names.length === 0) return {};
  const { grids, condition } = prior;
  const parts = tf.split(
    nats,
    grids.map((grid) => cellsIn([grid])),
    1,
  );
  const drawn = parts.slice(condition.grids.length);
  return Object.fromEntries(pairs(names, drawn).map(([name, part]) => [name, tf.mean(part, axis)]));
}

/** Means over all cells as means over those that are not given. */
function perToken({ grids, condition }: Prior, mean: tf.Tensor): tf.Tensor {
  if (condition.grids.length === 0) return mean;
  const cells = cellsIn(grids);
  return tf.mul(mean, cells / (cells - cellsIn(condition.grids)));
}

/**
 * Mean losses (nats per token) over rows of a token file, by `lossNames`, in batches of one size; the last one is
 * padded.
 *
 * @param graph `priorEvaluation` or `frozenEvaluation` of batches of `o.batch`
 * @param o.weights what `priorEvaluation` takes beside the prior's inputs
 * @param o.feed in place of the prior's own
 */
export async function meanLosses(
  graph: Graph,
  prior: Prior,
  set: Labelled,
  rows: Int32Array,
  o: {
    batch: number;
    weights?: HostTensors;
    feed?: (key: number, batch: Canvas) => HostTensors;
    signal?: AbortSignal;
  },
): Promise<Record<string, number> & { readonly loss: number }> {
  const { batch, weights, signal } = o;
  const feed = o.feed ?? ((key, canvas) => prior.feed('eval', key, canvas).batched ?? {});
  const names = lossNames(prior);
  const sums: Record<string, number> & { loss: number } = { loss: 0 };
  for (const name of names) sums[name] = 0;
  for (let at = 0; at < rows.length && !signal?.aborted; at += batch) {
    const present = rows.subarray(at, at + batch);
    const padded = Int32Array.from({ length: batch }, (_, b) => nth(present, b < present.length ? b : 0));
    const losses = await graph.run({
      ...weights,
      ...feed(at, canvasOf(set, padded)),
    });
    for (const name of names)
      for (const nats of entry(losses, name).data.subarray(0, present.length))
        sums[name] = entry(sums, name) + nats;
  }
  for (const name of names) sums[name] = entry(sums, name) / rows.length;
  return sums;
}

/** The state before the first step. */
export function priorStart(prior: Prior, seed: number, precision: Precision = 'f32'): HostTensors {
  const params = initialise(prior.learned, seed);
  const moments = Object.entries(adamSpecs(tensorSpecs(prior.learned)));
  return {
    ...over('model', params),
    ...firstScale(lossScaling(precision).state),
    ...Object.fromEntries(
      moments.map(([name, { shape }]) => [name, float32(shape, new Float32Array(sizeOf(shape)))]),
    ),
  };
}
