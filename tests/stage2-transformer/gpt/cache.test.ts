import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../../src/base/progress.js';
import { type HostTensors, int32 } from '../../../src/base/tensor.js';
import type { Precision } from '../../../src/engine/device.js';
import { openDevice } from '../../../src/engine/index.js';
import { initialise, specsOf, treeOf } from '../../../src/nn/params.js';
import { guided } from '../../../src/stage2-transformer/drawer.js';
import { openCachedModel } from '../../../src/stage2-transformer/gpt/cache.js';
import { type GptSizes, gptLogits, gptSpecs } from '../../../src/stage2-transformer/gpt/gpt.js';
import { openResidentModel } from '../../../src/stage2-transformer/gpt/resident-cache.js';
import { expectClose } from '../../support/close.js';
import { small, waveParams } from '../../support/gpt.js';

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

test.each([
  ['tfjs', openCachedModel],
  ['cpu', openCachedModel],
  ['cpu', openResidentModel],
] as const)(
  '%s, %p: sequences of several classes, guided, equal uncached ones with and without class',
  async (name, open) => {
    const sizes: GptSizes = { ...small, classes: 3, tokens: 6 };
    const { codes, tokens } = sizes;
    const weights = initialise(specsOf(gptSpecs(sizes)), 4);
    for (const t of Object.values(weights)) for (const i of t.data.keys()) t.data[i] = 10 * t.data[i]!; // logits that differ
    const params = Object.fromEntries(
      Object.entries(weights).map(([n, t]) => [n, tf.tensor(t.data, [...t.shape])]),
    );
    const starts = [codes + 1, codes + 3];
    const rows = (first: (row: number) => number) =>
      [0, 1].map((row) =>
        Array.from({ length: tokens }, (_, t) => (t === 0 ? first(row) : (3 * row + t) % codes)),
      );
    const whole = (of: number[][]) =>
      gptLogits(sizes, treeOf(gptSpecs(sizes), params), tf.tensor2d(of, [2, tokens], 'int32'));
    const given = rows((row) => starts[row]!);
    const [withClass, without] = [whole(given), whole(rows(() => codes))];
    const wanted = tf.add(without, tf.mul(2.5, tf.sub(withClass, without)));
    expect(tf.max(tf.abs(tf.sub(withClass, without))).dataSync()[0]).toBeGreaterThan(0.1);

    const device = await openDevice({ device: name, threads: 1, reporter: silent });
    const model = await open({ sizes, weights, batch: 4, device });
    const next = guided(model.nextLogits, { scaleAt: () => 2.5, start: codes });
    for (let place = 0; place < tokens; place++) {
      const ids = Int32Array.from(given, (row) => row[place]!);
      const place2 = tf.reshape(tf.slice(wanted, [0, place, 0], [2, 1, codes]), [2, codes]);
      expectClose({ shape: [2, codes], data: await next(ids, place) }, place2, { atol: 1e-4, rtol: 1e-4 });
    }
    await model.dispose();
  },
);

test.each([
  ['a cache on the host', openCachedModel],
  ['a cache that stays on the device', openResidentModel],
] as const)(
  '8-bit weights, %s: logits equal uncached ones as closely as rounding lets them',
  async (_, open) => {
    const sizes: GptSizes = { layers: 2, heads: 2, width: 96, codes: 40, tokens: 10 };
    const weights = initialise(specsOf(gptSpecs(sizes)), 1);
    const ids = Int32Array.from({ length: 3 * 10 }, (_, i) => (i % 10 === 0 ? 40 : (7 * i) % 40));
    const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
    const whole = async (precision: Precision): Promise<Float32Array> => {
      const graph = await device.prepare({
        name: 'whole',
        inputs: { ids: { shape: [3, 10], dtype: 'int32' } },
        constants: weights,
        precision,
        run: ({ ids }, constants) => ({ logits: gptLogits(sizes, treeOf(gptSpecs(sizes), constants), ids!) }),
      });
      const { logits } = await graph.run({ ids: int32([3, 10], ids) });
      await graph.dispose();
      return logits!.data as Float32Array;
    };
    const cached = new Float32Array(3 * 10 * 40);
    const model = await open({ sizes, weights, batch: 3, precision: 'int8', device });
    for (let place = 0; place < 10; place++) {
      const logits = await model.nextLogits(
        Int32Array.of(0, 10, 20).map((row) => ids[row + place]!),
        place,
      );
      for (let row = 0; row < 3; row++)
        cached.set(logits.subarray(row * 40, (row + 1) * 40), (row * 10 + place) * 40);
    }
    await model.dispose();
    const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((x, i) => x - b[i]!));
    const [int8, f32] = [await whole('int8'), await whole('f32')];
    const cost = distance(int8, f32);
    expect(cost).toBeGreaterThan(0.001 * Math.hypot(...f32)); // they are of 8 bits
    // Where float32 sums differ in the last bit, an activation may be rounded to the next step: a small part of the
    // cost.
    expect(distance(cached, int8)).toBeLessThan(0.1 * cost);
  },
);

test.each(['f32', 'int8'] as const)(
  'cpu, %s: logits of a sequence are the same to the bit, however many sequences are beside it',
  async (precision) => {
    const sizes: GptSizes = { ...small, heads: 4, width: 64, codes: 48, tokens: 9 };
    const weights = initialise(specsOf(gptSpecs(sizes)), 6);
    for (const t of Object.values(weights)) for (const i of t.data.keys()) t.data[i] = 10 * t.data[i]!;
    const device = await openDevice({ device: 'cpu', threads: 2, reporter: silent });
    const firstOf = async (batch: number): Promise<number[][]> => {
      const model = await openCachedModel({ sizes, weights, batch, precision, device });
      const logits: number[][] = [];
      for (let place = 0; place < sizes.tokens; place++) {
        const ids = Int32Array.from({ length: batch }, (_, row) => (11 * row + 5 * place) % sizes.codes);
        logits.push([...(await model.nextLogits(ids, place)).slice(0, sizes.codes)]);
      }
      await model.dispose();
      return logits;
    };
    const alone = await firstOf(1);
    expect(new Set(alone.flat()).size).toBeGreaterThan(200);
    for (const batch of [2, 3, 16]) expect(await firstOf(batch)).toEqual(alone);
  },
);
