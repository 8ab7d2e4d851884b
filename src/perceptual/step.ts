/**
 * The classifier while it learns: batch normalisation behind every convolution, and its running statistics to be
 * folded into the filters at the end.
 */

import * as tf from '@tensorflow/tfjs-core';
import { pairs, picked } from '../base/lookup.js';
import { float32, type HostTensors } from '../base/tensor.js';
import type { GraphProgram, Specs, StepProgram, Tensors } from '../engine/device.js';
import {
  type BatchNorm,
  batchNorm,
  batchNormSpecs,
  batchStatistics,
  foldBatchNorm,
  type Statistics,
} from '../nn/batch-norm.js';
import { type ConvWithoutBias, conv } from '../nn/conv.js';
import { softCrossEntropy } from '../nn/cross-entropy.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import { type Linear, linear, linearSpecs } from '../nn/linear.js';
import { initialise, over, specsOf, type TensorTree, tensorSpecs, treeOf, under } from '../nn/params.js';
import { adamSpecs, adamStep, emaStep } from '../train/optimizer.js';
import { classLogits, featureWidth, layers, pooling, poolings } from './trained-features.js';

type Layer = ConvWithoutBias & BatchNorm;
type Learned = { layers: Layer[]; head: Linear };

function learnedSpecs(classes: number): Learned {
  return {
    layers: layers.map(({ inputs, outputs }) => ({
      // He et al., arXiv 1502.01852
      weight: {
        shape: [3, 3, inputs, outputs],
        init: { kind: 'normal', mean: 0, std: Math.sqrt(2 / (9 * inputs)) },
      },
      ...batchNormSpecs(outputs),
    })),
    head: linearSpecs(featureWidth, classes, { kind: 'normal', mean: 0, std: 0.02 }),
  };
}

/** `layers.N.mean` and `layers.N.variance` [C]. */
const statisticsSpecs: Specs = Object.fromEntries(
  layers.flatMap(({ outputs }, i) =>
    ['mean', 'variance'].map((which) => [`layers.${i}.${which}`, { shape: [outputs], dtype: 'float32' }]),
  ),
);

/** `model.…` what is learned and the statistics, `adam.…`. */
export function classifierState(classes: number): Specs {
  const learned = tensorSpecs(specsOf(learnedSpecs(classes)));
  return { ...over('model', { ...learned, ...statisticsSpecs }), ...adamSpecs(learned) };
}

export function initialClassifier(classes: number, seed: number): HostTensors {
  const weights = initialise(over('model', specsOf(learnedSpecs(classes))), seed);
  return Object.fromEntries(
    Object.entries(classifierState(classes)).map(([name, { shape }]) => [
      name,
      weights[name] ?? filled(shape, name.endsWith('.variance') ? 1 : 0),
    ]),
  );
}

function filled(shape: readonly number[], value: number): HostTensors[string] {
  const t = float32(shape);
  t.data.fill(value);
  return t;
}

/** Adam's, by what is usual for small convolutional classifiers. */
const optimizer = {
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 0.05,
  decays: (name: string) => name.endsWith('.weight'),
} as const;

/** What the running statistics keep of a step, once they have seen a hundred. */
const memory = 0.99;

/**
 * State: `classifierState`. Inputs: `images` [B, S, S, 3] in [−1, 1], `targets` [B, K] (the share of each class),
 * scalars `lr` and `step` (1-based). Outputs: `loss`, the mean cross entropy, and `accuracy`, the share of images
 * whose likeliest class is the target's.
 */
export function classifierStep(o: { classes: number; size: number; batch: number }): StepProgram {
  const specs = learnedSpecs(o.classes);
  const names = Object.keys(specsOf(specs));
  const scalar = { shape: [], dtype: 'float32' } as const;
  return {
    name: 'classifier-step',
    constants: {},
    state: classifierState(o.classes),
    inputs: {
      images: { shape: [o.batch, o.size, o.size, 3], dtype: 'float32' },
      targets: { shape: [o.batch, o.classes], dtype: 'float32' },
      lr: scalar,
      step: scalar,
    },
    step(state, inputs) {
      const { images, targets, lr, step } = picked(inputs, ['images', 'targets', 'lr', 'step']);
      const model = under('model', state);
      const learned = picked(model, names);
      const { logits, seen } = pass(treeOf(specs, learned), images);
      const { value: loss, grads } = valueAndGradsOf(learned, (at) =>
        tf.mean(softCrossEntropy(pass(treeOf(specs, at), images).logits, targets)),
      );
      const updated = adamStep(learned, grads, state, lr, step, optimizer);
      const kept = tf.minimum(memory, tf.div(step, tf.add(step, 10)));
      const statistics = picked(model, Object.keys(statisticsSpecs));
      const right = tf.equal(tf.argMax(logits, 1), tf.argMax(targets, 1));
      return {
        state: {
          ...over('model', { ...updated.params, ...emaStep(statistics, named(seen), kept) }),
          ...updated.state,
        },
        outputs: { loss, accuracy: tf.mean(tf.cast(right, 'float32')) },
      };
    },
  };
}

const named = (seen: readonly Statistics[]): Tensors =>
  Object.fromEntries(seen.flatMap((s, i) => Object.entries(over(`layers.${i}`, { ...s } as Tensors))));

/** Images → logits [B, K], and what each normalisation saw. */
function pass(params: TensorTree<Learned>, images: tf.Tensor): { logits: tf.Tensor; seen: Statistics[] } {
  const seen: Statistics[] = [];
  let x = images;
  let before = 0;
  for (const [{ stage }, layer] of pairs(layers, params.layers)) {
    if (stage > before) x = poolings[pooling](x as tf.Tensor4D);
    before = stage;
    const y = conv(layer, x);
    seen.push(batchStatistics(y));
    x = tf.relu(batchNorm(layer, y));
  }
  return { logits: linear(params.head, tf.mean(x, [1, 2])), seen };
}

/** Inputs: the learned values and statistics by their plain names, `images` [B, S, S, 3]. Output: `logits` [B, K]. */
export function classifierEvaluation(o: {
  classes: number;
  size: number;
  batch: number;
}): GraphProgram<'images', 'logits'> {
  return {
    name: 'classifier-evaluation',
    inputs: {
      ...under('model', classifierState(o.classes)),
      images: { shape: [o.batch, o.size, o.size, 3], dtype: 'float32' },
    },
    constants: {},
    run: ({ images, ...model }) => ({ logits: classLogits(folded(model, o.classes), images, pooling) }),
  };
}

/**
 * Inputs: the learned values and statistics by their plain names. Outputs: `trainedShapes`, to be used without
 * normalisation.
 */
export function foldProgram(classes: number): GraphProgram {
  return {
    name: 'classifier-fold',
    inputs: under('model', classifierState(classes)),
    constants: {},
    run: (model) => folded(model, classes),
  };
}

function folded(model: Tensors, classes: number): Tensors {
  const learned = treeOf(learnedSpecs(classes), model);
  const convs = learned.layers.map((layer, i) => {
    const statistics = picked(under(`layers.${i}`, model), ['mean', 'variance']);
    return over(`layers.${i}`, foldBatchNorm(layer.weight, layer, statistics));
  });
  return Object.assign({}, ...convs, over('head', { ...learned.head }));
}
