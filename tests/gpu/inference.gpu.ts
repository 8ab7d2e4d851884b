/** Graphs of finished and of half-trained networks on the GPU against ONNX Runtime's CPU device. */
import { type HostTensors, sizeOf } from '../../src/base/tensor.js';
import type { GraphProgram } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { randomFeatures } from '../../src/perceptual/distances.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import {
  decodeProgram,
  encodeProgram,
  evaluateProgram,
  reconstructProgram,
} from '../../src/stage1-vqgan/programs.js';
import { openCachedModel } from '../../src/stage2-transformer/gpt/cache.js';
import { priorEvaluation, priorStart } from '../../src/stage2-transformer/step.js';
import { expectClose } from '../support/close.js';
import { priorOfSizes } from '../support/gpt.js';
import { actingNetworks, startOf } from '../support/networks.js';
import { device, ids, noise } from '../support/parity.js';
import { config } from '../support/steps.js';

const cpu = onnxDevice({ threads: 2 });
const state = startOf(config);

function under(prefix: string, tensors: HostTensors): HostTensors {
  const own = Object.entries(tensors).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

async function expectSame(program: GraphProgram, inputs: HostTensors): Promise<void> {
  const results = [];
  for (const runs of [cpu, device]) {
    const graph = await runs.prepare(program);
    results.push(await graph.run(inputs));
    await graph.dispose();
  }
  const [wanted, got] = results as [HostTensors, HostTensors];
  expect(Object.keys(got)).toEqual(Object.keys(wanted));
  for (const [name, tensor] of Object.entries(wanted)) {
    if (tensor.dtype === 'int32') expect(got[name]).toEqual(tensor);
    else expectClose(got[name]!, tensor, { atol: 1e-5, rtol: 1e-4 });
  }
}

const images = noise([2, 8, 8, 3], 'images', 0.4);
const model = under('model.', state);

test('encode', () => expectSame(encodeProgram(modelOf(config), model, 2), { images }));
test('decode', () => expectSame(decodeProgram(modelOf(config), model, 2), { codes: ids([2, 4, 4], 12) }));
test('reconstruct', () => expectSame(reconstructProgram(modelOf(config), model, 2), { images }));

test.each([true, false])('validation of stage 1, adversarial %s', async (adversarial) => {
  const networks = actingNetworks(config, adversarial);
  const program = evaluateProgram(networks, randomFeatures(8), config.stage1, 2);
  const weights = Object.keys(program.inputs).filter((name) => name !== 'images');
  const given = weights.map((name) => [name, name.startsWith('disc.') ? state[name]! : model[name]!]);
  await expectSame(program, { images, ...Object.fromEntries(given) });
});

const sizes = { ...config.prior, codes: 7, tokens: 6 };
const gpt = priorOfSizes(sizes);
const prior = priorStart(gpt, 3);

test('validation of the prior', async () => {
  const program = priorEvaluation(gpt, 2);
  const weights = Object.keys(program.inputs).filter((name) => name in prior);
  await expectSame(program, {
    ids: ids([2, 6], 7, 'ids'),
    targets: ids([2, 6], 7, 'targets'),
    ...Object.fromEntries(weights.map((name) => [name, prior[name]!])),
  });
});

test('next-token logits with a cache that grows', async () => {
  const weights = under('model.', prior);
  const models = [];
  for (const runs of [cpu, device])
    models.push(await openCachedModel({ sizes, weights, batch: 2, device: runs }));
  const shape = [2, sizes.codes];
  for (let round = 0; round < 2; round++) {
    for (let place = 0; place < sizes.tokens; place++) {
      const tokens =
        place === 0 ? Int32Array.of(7, 7) : (ids([2], 7, `${round} ${place}`).data as Int32Array);
      const [wanted, got] = await Promise.all(models.map((m) => m.nextLogits(tokens, place)));
      expect(got).toHaveLength(sizeOf(shape));
      expectClose({ shape, data: got! }, { shape, data: wanted! }, { atol: 1e-5, rtol: 1e-4 });
    }
  }
  for (const m of models) await m.dispose();
});
