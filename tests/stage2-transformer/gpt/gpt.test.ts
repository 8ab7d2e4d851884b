import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { countParams, initialise, specsOf, treeOf } from '../../../src/nn/params.js';
import { decays } from '../../../src/nn/transformer.js';
import { cachedStep, type GptSizes, gptLogits, gptSpecs } from '../../../src/stage2-transformer/gpt/gpt.js';
import { expectClose } from '../../support/close.js';
import { small, waveParams } from '../../support/gpt.js';

test.each([
  ['S', { layers: 6, heads: 8, width: 256, tokens: 256, codes: 512 }, 5_067_008],
  ['M', { layers: 12, heads: 8, width: 512, tokens: 256, codes: 1024 }, 39_009_792],
])('%s has as many parameters as the PyTorch peer', (_, sizes: GptSizes, count) => {
  expect(countParams(gptSpecs(sizes))).toBe(count);
});

test('classes are further rows of the token table: those before, and every other weight, are as without', () => {
  const [without, withClasses] = [0, 3].map((classes) =>
    initialise(specsOf(gptSpecs({ ...small, classes })), 1),
  );
  expect(without!['tokens.weight']!.shape).toEqual([6, 8]);
  expect(withClasses!['tokens.weight']!.shape).toEqual([9, 8]);
  const first = withClasses!['tokens.weight']!.data.subarray(0, 48);
  expect(first).toEqual(without!['tokens.weight']!.data);
  expect({ ...withClasses, 'tokens.weight': 0 }).toEqual({ ...without, 'tokens.weight': 0 });
});

test('decay acts on linear weights only', () => {
  const decaying = Object.keys(specsOf(gptSpecs({ ...small, layers: 1 }))).filter(decays);
  expect(decaying).toEqual([
    'blocks.0.qkv.weight',
    'blocks.0.out.weight',
    'blocks.0.expand.weight',
    'blocks.0.contract.weight',
    'head.weight',
  ]);
  const modern = { norm: 'rms', mlp: 'swiglu', qk_norm: true, annealed: true } as const;
  const specs = specsOf(gptSpecs({ ...small, layers: 1, ...modern }));
  expect(Object.keys(specs).filter(decays)).toEqual(decaying);
});

const params = () => treeOf(gptSpecs(small), waveParams(small));

test('logits equal those of the PyTorch peer', () => {
  const ids = tf.tensor2d(
    [
      [5, 0, 3, 1],
      [5, 2, 2, 4],
    ],
    [2, 4],
    'int32',
  );
  const logits = gptLogits(small, params(), ids);
  expect(logits.shape).toEqual([2, 4, 5]);
  expectClose(
    tf.reshape(tf.slice(logits, [1, 0, 0], [1, 4, 5]), [-1]),
    [
      0.369902, 0.074417, -0.253986, -0.47004, -0.478176, 0.387655, 0.043057, -0.320587, -0.542422, -0.52432,
      0.373168, 0.049791, -0.295611, -0.510251, -0.499186, 0.398473, 0.00675, -0.387959, -0.611057, -0.563859,
    ],
  );
});

test('causality: a token changes no logits before it, and those at it and after', () => {
  const logits = (ids: number[]) => gptLogits(small, params(), tf.tensor2d(ids, [1, 4], 'int32'));
  const rows = (t: tf.Tensor) => t.arraySync() as number[][][];
  const before = rows(logits([5, 0, 3, 1]))[0]!;
  const after = rows(logits([5, 0, 4, 1]))[0]!;
  expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
  for (const t of [2, 3]) expect(after[t]).not.toEqual(before[t]);
});

test('cached logits equal uncached ones, at the cache lengths of every place', () => {
  const { layers, heads, width, tokens } = small;
  const perHead = width / heads;
  const tree = params();
  const sequences = [
    [5, 0, 3, 1],
    [5, 2, 2, 4],
  ];
  const whole = gptLogits(small, tree, tf.tensor2d(sequences, [2, 4], 'int32'));
  const length = tokens; // longer than needed: the mask hides what is not filled
  const caches = Array.from({ length: 2 * layers }, () => tf.buffer([2, heads, length, perHead]));
  for (const cache of caches) cache.values.fill(1e3);
  for (let t = 0; t < tokens; t++) {
    const step = cachedStep(small, tree, {
      ids: tf.tensor1d(
        sequences.map((s) => s[t]!),
        'int32',
      ),
      position: tf.tensor1d([t], 'int32'),
      mask: tf.tensor4d(
        Array.from({ length }, (_, i) => (i < t ? 0 : -1e9)),
        [1, 1, 1, length],
      ),
      keys: caches.slice(0, layers).map((c) => c.toTensor()),
      values: caches.slice(layers).map((c) => c.toTensor()),
    });
    expectClose(step.logits, tf.reshape(tf.slice(whole, [0, t, 0], [2, 1, 5]), [2, 5]));
    for (const [layer, qkv] of step.qkv.entries()) {
      const numbers = tf.reshape(qkv, [2, 3, heads, perHead]).arraySync() as number[][][][];
      for (const [b, parts] of numbers.entries())
        for (const [i, rows] of parts.slice(1).entries())
          for (const [h, row] of rows.entries())
            for (const [e, v] of row.entries()) caches[i * layers + layer]!.set(v, b, h, t, e);
    }
  }
});
