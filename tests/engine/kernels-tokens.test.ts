/** The layers of a transformer that have kernels of their own, or are many operators, against TF.js' cpu backend. */
import type * as tf from '@tensorflow/tfjs-core';
import { relu2, swiglu } from '../../src/nn/feed-forward.js';
import { rmsNorm } from '../../src/nn/rms-norm.js';
import { turned } from '../../src/nn/rotary.js';
import { check } from '../support/check-kernels.js';
import { noise, type ParityCase } from '../support/parity.js';

type Inputs = Record<string, tf.Tensor>;

const cases = (shapes: number[][], of: (shape: number[]) => ParityCase): Record<string, ParityCase> =>
  Object.fromEntries(shapes.map((shape) => [`[${shape}]`, of(shape)]));

check(
  'RMSNorm',
  cases(
    [
      [1, 4],
      [6, 32],
      [2, 3, 8],
      [5, 4, 64],
      [3, 257],
    ],
    (shape) => ({
      inputs: { x: noise(shape), gamma: noise([shape.at(-1)!], 'gamma') },
      fn: ({ x, gamma }: Inputs) => rmsNorm({ gamma: gamma! }, x!),
    }),
  ),
);
check(
  'SwiGLU',
  cases(
    [
      [1, 2],
      [5, 12],
      [33, 128],
    ],
    (shape) => ({
      inputs: { x: noise(shape, 'gates', 2) },
      fn: ({ x }: Inputs) => swiglu(x!),
    }),
  ),
);
check(
  'ReLU²',
  cases([[7], [5, 12], [2, 3, 8]], (shape) => ({
    inputs: { x: noise(shape) },
    fn: ({ x }: Inputs) => relu2(x!),
  })),
);
check(
  'rotations',
  Object.fromEntries(
    [
      ['of one place', 1],
      ['of places that rows go through in turn', 3],
      ['of a place for each row', 6],
    ].map(([name, places]) => [
      name,
      {
        inputs: {
          x: noise([6, 2, 8]),
          cos: noise([places as number, 4], 'cos'),
          sin: noise([places as number, 4], 'sin'),
        },
        fn: ({ x, cos, sin }: Inputs) => turned(x!, { cos: cos!, sin: sin! }),
      },
    ]),
  ),
);
