import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../src/base/progress.js';
import type { HostTensors } from '../../src/base/tensor.js';
import { openDevice } from '../../src/engine/index.js';
import { treeOf } from '../../src/nn/params.js';
import { cacheLengths, openCachedModel } from '../../src/sample/cache.js';
import { openResidentModel } from '../../src/sample/resident-cache.js';
import { type GptSizes, gptLogits, gptSpecs } from '../../src/stage2-transformer/gpt.js';
import { expectClose } from '../support/close.js';
import { small, waveParams } from '../support/gpt.js';

test('at most four programs, the last with room for all', () => {
  expect(cacheLengths(256)).toEqual([64, 128, 192, 256]);
  expect(cacheLengths(10)).toEqual([3, 5, 8, 10]);
  expect(cacheLengths(1)).toEqual([1]);
});

test.each([
  ['tfjs', openCachedModel],
  ['cpu', openCachedModel],
  ['tfjs', openResidentModel],
  ['cpu', openResidentModel],
] as const)(
  '%s, %p: cached logits equal uncached ones at every place, for one batch after another',
  async (name, open) => {
    const sizes: GptSizes = { ...small, tokens: 10 };
    const params = waveParams(sizes);
    const weights: HostTensors = Object.fromEntries(
      Object.entries(params).map(([name, t]) => [
        name,
        { dtype: 'float32', shape: t.shape, data: t.dataSync() as Float32Array },
      ]),
    );
    const device = await openDevice({ device: name, threads: 1, reporter: silent });
    const model = await open({ sizes, weights, batch: 3, device });
    for (const round of [0, 1]) {
      const code = (row: number, place: number): number =>
        place === 0 ? sizes.codes : (7 * row + 3 * place + round) % sizes.codes;
      const rows = [0, 1, 2].map((row) =>
        Array.from({ length: sizes.tokens }, (_, place) => code(row, place)),
      );
      const whole = gptLogits(sizes, treeOf(gptSpecs(sizes), params), tf.tensor2d(rows, [3, 10], 'int32'));
      for (let place = 0; place < sizes.tokens; place++) {
        const logits = await model.nextLogits(
          Int32Array.from(rows, (row) => row[place]!),
          place,
        );
        const wanted = tf.reshape(tf.slice(whole, [0, place, 0], [3, 1, sizes.codes]), [3, sizes.codes]);
        expectClose({ shape: [3, sizes.codes], data: logits }, wanted, { atol: 1e-4, rtol: 0 });
      }
    }
    await model.dispose();
  },
);
