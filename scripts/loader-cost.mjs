// node scripts/loader-cost.mjs --config NAME [--data DIR] [--disk]: what reading and augmenting batches costs
// training, as the ratio of steps on batches of the data set to steps on one batch kept in memory, in turn. --disk: no
// picture in memory.
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { silent } from '../dist/base/progress.js';
import { loadConfig } from '../dist/config/load.js';
import { openDataset } from '../dist/data/dataset.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { loadPerceptual } from '../dist/perceptual/load.js';
import { networksOf } from '../dist/stage1-vqgan/model.js';
import { startsOf } from '../dist/stage1-vqgan/starts.js';
import { initialState } from '../dist/stage1-vqgan/state.js';
import { stage1Step } from '../dist/stage1-vqgan/step.js';
import { stepInputs } from '../dist/stage1-vqgan/step-inputs.js';

const { values } = parseArgs({
  options: { config: { type: 'string' }, data: { type: 'string' }, disk: { type: 'boolean' } },
});
const set = ['stage1.disc.weight=0', ...(values.data ? [`data.dir=${path.resolve(values.data)}`] : [])];
const config = loadConfig({ config: values.config, set });
const dataset = await openDataset(config.data, {
  cacheDir: path.join(os.tmpdir(), 'vqgen-loader-cost'),
  reporter: silent,
  ...(values.disk && { memoryBytes: 0 }),
});
const networks = networksOf(config); // without an adversary
const starts = startsOf(config);
const runner = await onnxDevice().prepareStep(
  stage1Step(networks, await loadPerceptual(config), config.stage1),
);
runner.load(initialState(networks, config.stage1, config.seed));

const steps = 6;
const rounds = 12;
const inputs = async (step) => (await stepInputs(networks, config, dataset.train, { step, starts }))[0];
const chunk = (first) => Promise.all(Array.from({ length: steps }, (_, i) => inputs(first + i)));
const kept = await inputs(1);

const times = { loaded: [], fixed: [] };
let next = chunk(1);
for (let round = -1; round < rounds; round++) {
  const started = performance.now();
  const batches = await next;
  next = chunk(1 + (round + 2) * steps);
  await runner.run(batches);
  const loaded = performance.now();
  await runner.run(batches.map(() => kept));
  if (round < 0) continue; // warms up
  times.loaded.push((loaded - started) / steps);
  times.fixed.push((performance.now() - loaded) / steps);
}
await runner.dispose();
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const ratios = times.loaded.map((ms, i) => ms / times.fixed[i]);
console.log(
  JSON.stringify({
    loaded_ms: median(times.loaded),
    fixed_ms: median(times.fixed),
    ratio: median(ratios),
    pictures: dataset.train.count,
  }),
);
