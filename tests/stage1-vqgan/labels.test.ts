/** The colours of label maps: found when a training begins, the same ever after. */
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { readRunConfig } from '../../src/checkpoint/run.js';
import { parseConfig } from '../../src/config/layers.js';
import { writePng } from '../../src/data/pictures.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { trainStage1 } from '../../src/stage1-vqgan/train.js';
import { inFolder } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';

let device: Device;
let at: (name: string) => string;
const [red, blue, grey] = [
  [1, -1, -1],
  [-1, -1, 1],
  [0, 0, 0],
];

/** Eight pixels wide and high, each of the colours as often. */
async function maps(folder: string, n: number, colours: number[][]): Promise<void> {
  for (let i = 0; i < n; i++) {
    const values = Array.from({ length: 64 }, (_, at) => colours[(at + i) % colours.length]!).flat();
    await writePng(path.join(at(folder), `${i}.png`), float32([8, 8, 3], values));
  }
}

beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await maps('two', 12, [red!, blue!, red!]);
  await maps('three', 12, [red!, blue!, grey!]);
  await maps('one', 12, [red!]);
});
afterAll(removeFolders);

const stage1 = {
  ...{ network: 'strided', ch: 4, ch_mult: [1, 1], num_res_blocks: 1, embed_dim: 4, codes: 4, steps: 2 },
  ...{ bottleneck: { kind: 'ema' }, disc: { weight: 0 }, perceptual: { kind: 'none' }, batch_size: 2 },
};

interface Options {
  steps?: number;
  data?: object;
  stage1?: object;
  changedPictures?: boolean;
}

function train(run: string, dir: string, o: Options = {}) {
  const data = { pictures: 'labels', size: 8, dir: at(dir), val_fraction: 0.3, ...o.data };
  const config = parseConfig({ data, stage1: { ...stage1, steps: o.steps ?? 2, ...o.stage1 } }, 'test');
  const resume = (o.steps ?? 2) > 2;
  return trainStage1({
    config,
    run: at(run),
    resume,
    changedPictures: o.changedPictures,
    device,
    reporter: silent,
  });
}

test('the most frequent first; a run that goes on keeps them, and takes no others', async () => {
  await train('run', 'two');
  expect(readRunConfig(at('run')).data.labels).toEqual(['#ff0000', '#0000ff']);
  expect((await train('run', 'two', { steps: 4 })).step).toBe(4);
  await maps('two', 3, [red!, grey!]);
  await expect(train('run', 'two', { steps: 6, changedPictures: true })).rejects.toThrow(
    /Expected a map of the colours #ff0000, #0000ff for \d\.png of .*two but received #808080\./,
  );
});

test('in the order that is asked for, among them colours that no map has', async () => {
  const labels = ['#000000', '#0000ff', '#808080', '#ff0000'];
  await train('ordered', 'three', { data: { labels } });
  expect(readRunConfig(at('ordered')).data.labels).toEqual(labels);
});

test('one sentence for what is no set of label maps', async () => {
  await expect(train('none', 'one')).rejects.toThrow(
    /Expected maps of two colours or more for data\.dir but received .*one, where all is #ff0000\./,
  );
  await maps('clean', 12, [red!, blue!]);
  await expect(train('none', 'clean', { data: { val_dir: at('three') } })).rejects.toThrow(
    /Expected a map of the colours #0000ff, #ff0000 for \d+\.png of .*three but received #808080\./,
  );
  const noise = Array.from({ length: 64 * 3 }, (_, i) => Math.sin(i * i));
  for (let i = 0; i < 12; i++) {
    const values = noise.map((value, at) => Math.sin(value * 40 + i + at));
    await writePng(path.join(at('noise'), `${i}.png`), float32([8, 8, 3], values));
  }
  await expect(train('none', 'noise')).rejects.toThrow(
    /Expected maps of at most 256 colours for data\.dir but received .*noise, which has more by \d+\.png\./,
  );
  expect(() => train('none', 'two', { data: { labels: ['#ff0000', '#ff0000'] } })).toThrow(
    'Expected each colour once for data.labels but received #ff0000, #ff0000.',
  );
  expect(() => train('none', 'two', { stage1: { perceptual: { kind: 'vqgen' } } })).toThrow(
    'Expected none for stage1.perceptual.kind but received vqgen. data.pictures is labels.',
  );
});
