/** A tokenizer with fewer groups than 32, written for the published GroupNorm. */
import path from 'node:path';
import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../src/base/tensor.js';
import { readRunConfig } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { exportTaming } from '../../src/exchange/export.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import { widened } from '../../src/exchange/widen.js';
import { initialise, specsOf, under } from '../../src/nn/params.js';
import { decoded } from '../../src/stage1-vqgan/autoencoder/index.js';
import { modelOf, modelSpecs } from '../../src/stage1-vqgan/model.js';
import { tinyConfig } from '../stage1-vqgan/tiny.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';
import { quiet, temporaryFolder } from './fixtures.js';
import { trainedRun } from './trained-run.js';

const folder = temporaryFolder('widen');

/** z and images, from an image and codes that are waves. */
function both(config: Config, weights: HostTensors) {
  const net = modelOf(config).net;
  const tensors = Object.entries(weights).map(([name, { data, shape }]) => [
    name,
    tf.tensor(data, [...shape]),
  ]);
  const params = Object.fromEntries(tensors);
  return {
    z: net.encode(under('encoder', params), wave([1, 8, 8, 3], 0.7)),
    images: decoded(net, under('decoder', params), wave([1, 4, 4, 5], 0.9)),
  };
}

test.each([4, 2])('%i groups of 4 and 8 channels become 32, the function stays', (norm_groups) => {
  const config = tinyConfig({ ch: 4, norm_groups });
  const weights = initialise(specsOf(modelSpecs(config)), 3);
  for (const [name, { data }] of Object.entries(weights))
    if (/beta|gamma/.test(name)) for (const i of data.keys()) data[i]! += 0.3 * Math.sin(i + name.length);
  const wide = widened(config, weights);
  expect(wide.config.stage1).toMatchObject({ ch: (4 * 32) / norm_groups, norm_groups: 32 });
  const [narrow, same] = [both(config, weights), both(wide.config, wide.weights)];
  expectClose(same.z, narrow.z, { atol: 1e-5 });
  expectClose(same.images, narrow.images, { atol: 1e-5 });
});

test('32 groups are left as they are', () => {
  const config = tinyConfig({ norm_groups: 32 });
  const weights = initialise(specsOf(modelSpecs(config)), 3);
  expect(widened(config, weights)).toEqual({ config, weights });
});

test('a run goes out with a warning and comes back with four times the channels', async () => {
  const { run, config } = await trainedRun(folder(), 'run', { stage1: { ch: 8, norm_groups: 8 } });
  const warnings: string[] = [];
  const out = folder();
  await exportTaming({
    run,
    to: 'taming',
    out,
    reporter: { ...quiet, warn: (line) => void warnings.push(line) },
  });
  expect(warnings).toContainEqual(expect.stringContaining('each channel is written 4 times'));
  const again = folder();
  const checkpoint = path.join(out, 'vqgan.ckpt');
  await importCheckpoint({ checkpoint, config: path.join(out, 'vqgan.yaml'), run: again, reporter: quiet });
  expect(readRunConfig(again).stage1).toMatchObject({ ch: 32, norm_groups: 32 });
  const sent = widened(config, (await loadModel(run, 'stage1')).tensors).weights;
  expect((await loadModel(again, 'stage1')).tensors).toEqual(sent);
});

test('groups of which no copies make 32 are refused', async () => {
  const { run } = await trainedRun(folder(), 'three', { stage1: { ch: 12, norm_groups: 3 } });
  await expect(exportTaming({ run, to: 'taming', out: folder(), reporter: quiet })).rejects.toThrow(
    'Expected a divisor of 32 for stage1.norm_groups but received 3.',
  );
});
