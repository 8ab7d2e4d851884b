/** Every option of a GPT: what is trained, what draws with a cache and what is exported are one function. */
import '../../support/cpu.js';
import fs from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../../src/base/progress.js';
import { type HostTensors, int32 } from '../../../src/base/tensor.js';
import { configSchema, type PriorConfig } from '../../../src/config/schema.js';
import { specsOfTensors, type Tensors } from '../../../src/engine/device.js';
import { openDevice } from '../../../src/engine/index.js';
import { openOnnxModel } from '../../../src/engine/onnx-file.js';
import { portableModel } from '../../../src/engine/portable.js';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { initialise, over, specsOf, treeOf, under } from '../../../src/nn/params.js';
import type { CachedModel } from '../../../src/stage2-transformer/drawer.js';
import { cachedFile } from '../../../src/stage2-transformer/file-drawer.js';
import { openCachedModel } from '../../../src/stage2-transformer/gpt/cache.js';
import { gptLogits, gptSpecs } from '../../../src/stage2-transformer/gpt/gpt.js';
import { gptPrior, gptSizes } from '../../../src/stage2-transformer/gpt/index.js';
import { portableGpt } from '../../../src/stage2-transformer/gpt/portable.js';
import { openResidentModel } from '../../../src/stage2-transformer/gpt/resident-cache.js';
import { expectClose } from '../../support/close.js';
import { options } from '../../support/gpt.js';
import { eager } from '../../support/parity.js';
import { temporaryFolder } from '../../support/run.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => fs.rm(folder, { recursive: true }));

const grids = [
  { name: 'top', height: 1, width: 2, vocab: 5 },
  { name: 'bottom', height: 2, width: 4, vocab: 11 },
];
const [batch, tokens, codes] = [3, 10, 11];
const settings = (o: Partial<PriorConfig>) => ({
  ...configSchema.parse({}).prior,
  ...{ layers: 2, heads: 2, width: 16, mlp: 'gelu' as const, dropout: 0 },
  ...o,
  seed: 0,
});
const sizesOf = (o: Partial<PriorConfig>) => gptSizes(settings(o), grids);

/** Tables that start at 0 are not 0 either, so that it shows where they are left out. */
function weightsOf(o: Partial<PriorConfig>): HostTensors {
  const weights = initialise(specsOf(gptSpecs(sizesOf(o))), 4);
  for (const [name, { data }] of Object.entries(weights))
    for (const i of data.keys())
      data[i] = /gamma$/.test(name) ? 1 + 0.3 * Math.sin(i) : 10 * data[i]! + 0.2 * Math.sin(3 * i);
  return weights;
}

const sequences = int32(
  [batch, tokens],
  Int32Array.from({ length: batch * tokens }, (_, i) => (i % tokens === 0 ? codes : (7 * i) % 5)),
);
const logitsOf = async (o: Partial<PriorConfig>) => {
  const { logits } = await eager({ ids: sequences, ...weightsOf(o) }, ({ ids, ...p }) => ({
    logits: gptLogits(sizesOf(o), treeOf(gptSpecs(sizesOf(o)), p), ids!),
  }));
  return logits!;
};

/** What a model says at every place, beside [B, T, K]. */
async function expectDrawn(model: CachedModel, wanted: { data: ArrayLike<number> }): Promise<void> {
  const found = new Float32Array(batch * tokens * codes);
  for (let place = 0; place < tokens; place++) {
    const before = Int32Array.from({ length: batch }, (_, row) => sequences.data[row * tokens + place]!);
    const logits = await model.nextLogits(before, place);
    for (let row = 0; row < batch; row++)
      found.set(logits.subarray(row * codes, (row + 1) * codes), (row * tokens + place) * codes);
  }
  const shape = [batch, tokens, codes];
  expectClose({ shape, data: found }, { shape, data: wanted.data }, { atol: 1e-4, rtol: 1e-5 });
  await model.dispose();
}

describe.each(options)('%s', (name, o) => {
  test('it is another function than the plain one', async () => {
    expect((await logitsOf(o)).data).not.toEqual((await logitsOf({})).data);
  });

  test.each([
    ['tfjs', openCachedModel],
    ['cpu', openCachedModel],
    ['cpu', openResidentModel],
  ] as const)('%s, %p: drawn with a cache as in a full pass', async (on, open) => {
    const device = await openDevice({ device: on, threads: 1, reporter: silent });
    const model = await open({ sizes: sizesOf(o), weights: weightsOf(o), batch, device });
    await expectDrawn(model, await logitsOf(o));
  });

  test('the exported file, too', async () => {
    const program = portableGpt(sizesOf(o)).program(weightsOf(o));
    const file = path.join(folder, `${name}.onnx`);
    await fs.writeFile(file, await portableModel(program, { metadata: {}, halves: false }));
    const graph = await openOnnxModel(file, '--model', 1);
    await expectDrawn(cachedFile(graph, sizesOf(o), batch), await logitsOf(o));
  });

  test('a batch costs the same in ONNX Runtime as on the cpu backend, with the same gradients', async () => {
    const prior = gptPrior(settings(o), grids, { classes: [], grids: [] });
    const labels = new Int32Array(batch).fill(-1);
    const canvas = { codes: sequences.data.map((id) => id % 5) as Int32Array, labels };
    const inputs = { ...prior.feed('train', 1, canvas).batched, ...over('model', weightsOf(o)) };
    const run = (all: Tensors) => {
      const { value, grads } = valueAndGradsOf(under('model', all), (p) =>
        tf.mean(prior.nats(p, all, 'train')),
      );
      return { value, ...grads };
    };
    const wanted = await eager(inputs, run);
    expect(Object.keys(wanted)).toEqual(['value', ...Object.keys(prior.learned)]);
    const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
    const graph = await device.prepare({ name, inputs: specsOfTensors(inputs), constants: {}, run });
    const found = await graph.run(inputs);
    for (const key of Object.keys(wanted)) expectClose(found[key]!, wanted[key]!, { atol: 1e-5, rtol: 1e-3 });
    for (const key of Object.keys(prior.learned)) {
      const isUsed = found[key]!.data.some((v: number) => Math.abs(v) > 1e-6);
      expect([key, isUsed]).toEqual([key, true]);
    }
    await graph.dispose();

    const mixed = { inputs: specsOfTensors(inputs), constants: {}, precision: 'f16', run } as const;
    const rounded = await device.prepare({ name, ...mixed });
    expectClose((await rounded.run(inputs)).value!, wanted.value!, { atol: 0, rtol: 5e-3 });
    await rounded.dispose();
  });
});

test('with 8-bit weights all options at once are as far off as the plain ones, if at all', async () => {
  const [, all] = options.at(-1)!;
  const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  const wide = { width: 96, heads: 2 };
  const off = async (o: Partial<PriorConfig>): Promise<number> => {
    const sizes = sizesOf({ ...o, ...wide });
    const weights = initialise(specsOf(gptSpecs(sizes)), 1);
    const logits = async (precision: 'f32' | 'int8') => {
      const model = await openCachedModel({ sizes, weights, batch: 1, precision, device });
      const found: number[] = [];
      for (let place = 0; place < tokens; place++)
        found.push(...(await model.nextLogits(Int32Array.of(place === 0 ? codes : place % 5), place)));
      await model.dispose();
      return found;
    };
    const [int8, f32] = [await logits('int8'), await logits('f32')];
    return Math.hypot(...int8.map((x, i) => x - f32[i]!)) / Math.hypot(...f32);
  };
  const [plain, own] = [await off({}), await off(all)];
  expect(own).toBeGreaterThan(1e-4);
  expect(own).toBeLessThan(3 * plain);
});
