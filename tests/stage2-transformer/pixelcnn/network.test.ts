import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { countParams, specsOf, treeOf } from '../../../src/nn/params.js';
import {
  type NetworkSizes,
  networkLogits,
  networkSpecs,
} from '../../../src/stage2-transformer/pixelcnn/network.js';
import { ids } from '../../support/parity.js';
import { bottom, livelyWeights, sizesOf, tensorsOf, top } from '../../support/pixelcnn.js';

const square = { name: 'codes', height: 8, width: 8, vocab: 512 };

test.each([
  [8, 96, 512],
  [1, 16, 7],
])('%d layers of width %d, %d codes: as many parameters as their formula says', (L, d, K) => {
  const specs = networkSpecs(sizesOf({ ...square, vocab: K }, { layers: L, width: d }));
  const layers = 69 * d ** 2 + 7 * d + (L - 1) * (21 * d ** 2 + 7 * d);
  expect(countParams(specs)).toBe(K * d + layers + (4 * d ** 2 + 4 * d) + (4 * d * K + K));
});

/** Of each of these cells (all), which logits a change of its code changes; row by row. */
function changed(o: NetworkSizes, earlier: tf.Tensor[] = [], at?: readonly number[]): boolean[][] {
  const { height, width, vocab } = o.grid;
  const cells = height * width;
  const specs = networkSpecs(o);
  const params = treeOf(specs, tensorsOf(livelyWeights(specsOf(specs))));
  const first = [...ids([cells], vocab, 3).data];
  const looked = at ?? [...first.keys()];
  const images = [
    first,
    ...looked.map((at) => first.map((code, i) => (i === at ? (code + 1) % vocab : code))),
  ];
  const codes = tf.tensor3d(images.flat(), [images.length, height, width], 'int32');
  const repeated = (t: tf.Tensor) => tf.tile(t, [images.length, ...t.shape.slice(1).map(() => 1)]);
  const labels = tf.fill([images.length], 1, 'int32');
  const known = { labels, earlier: earlier.map(repeated) };
  const logits = networkLogits(o, params, codes, known).arraySync() as number[][];
  const cell = (image: number, at: number) => logits[image * cells + at]!;
  return looked.map((_, image) =>
    first.map((_, i) => cell(image + 1, i).some((logit, k) => logit !== cell(0, i)[k])),
  );
}

const ofTop = tf.tensor3d([...ids([6], 5).data], [1, 2, 3], 'int32');
const cases: [string, NetworkSizes, tf.Tensor[]][] = [
  ['4×5 cells', sizesOf(bottom), []],
  ['5×3 cells', sizesOf({ ...bottom, height: 5, width: 3 }), []],
  ['one row', sizesOf({ ...bottom, height: 1 }), []],
  ['one column', sizesOf({ ...bottom, width: 1 }), []],
  ['an earlier grid and a class', sizesOf(bottom, { earlier: [top], classes: 2 }), [ofTop]],
];

test.each(cases)('%s: a code changes the logits of every cell behind it, and no others', (_, o, earlier) => {
  const seen = changed(o, earlier);
  expect(seen).toEqual(seen.map((row, at) => row.map((_, i) => i > at)));
});

/** Of a grid of 6×9 cells. */
const looked = [0, 4, 17, 22];

test('so far as the layers reach: one sees three rows and three columns, each further one a row and a column more', () => {
  for (const layers of [1, 2]) {
    const reach = 2 + layers;
    const grid = { ...bottom, height: 6, width: 9 };
    for (const [image, row] of changed(sizesOf(grid, { layers }), [], looked).entries()) {
      const at = looked[image]!;
      for (const [i, changes] of row.entries()) {
        const [down, right] = [Math.floor(i / 9) - Math.floor(at / 9), (i % 9) - (at % 9)];
        const reached =
          down === 0 ? right > 0 && right <= reach : down > 0 && down <= reach && Math.abs(right) <= reach;
        expect([at, i, changes]).toEqual([at, i, reached]);
      }
    }
  }
});

test('attention reaches everywhere', () => {
  const grid = { ...bottom, height: 6, width: 9 };
  const seen = changed(sizesOf(grid, { layers: 2, attentionEvery: 2 }), [], looked);
  expect(seen).toEqual(seen.map((row, image) => row.map((_, i) => i > looked[image]!)));
});

test('a grid sees all of an earlier one, and its class', () => {
  const o = sizesOf(bottom, { earlier: [top], classes: 2 });
  const specs = networkSpecs(o);
  const params = treeOf(specs, tensorsOf(livelyWeights(specsOf(specs))));
  const codes = tf.tensor3d([...ids([20], 7).data], [1, 4, 5], 'int32');
  const logits = (first: number, label: number) => {
    const earlier = tf.tensor3d([first, 1, 2, 3, 4, 0], [1, 2, 3], 'int32');
    const labels = tf.tensor1d([label], 'int32');
    return networkLogits(o, params, codes, { labels, earlier: [earlier] }).arraySync() as number[][];
  };
  const [plain, otherCode] = [logits(0, 0), logits(1, 0)];
  for (const [cell, row] of plain.entries()) {
    expect(row).not.toEqual(otherCode[cell]);
    for (const label of [-1, 1]) expect(row).not.toEqual(logits(0, label)[cell]);
  }
});
