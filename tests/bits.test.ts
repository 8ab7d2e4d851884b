/**
 * Moving code must not move a bit: sha256 of what the commands write, for every kind of bottleneck with everything
 * switched on. ONNX Runtime rounds by the processor's instructions, so the sums in `bits.json` stand under that of a
 * probe which every machine computes; where the probe is unknown the tests are skipped. VQGEN_WRITE_BITS=1 writes this
 * machine's.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../src/base/progress.js';
import { readChecked } from '../src/checkpoint/content-sum.js';
import { runPaths, tokenFile } from '../src/checkpoint/run.js';
import { sha256, writeSafetensors } from '../src/checkpoint/safetensors.js';
import { latestCheckpoint } from '../src/checkpoint/store.js';
import { loadConfig } from '../src/config/load.js';
import { openDevice } from '../src/engine/index.js';
import { sample } from '../src/sample/sample.js';
import { trainStage1 } from '../src/stage1-vqgan/train.js';
import { trainPrior } from '../src/stage2-transformer/train.js';
import { tokenize } from '../src/tokenize/tokenize.js';
import { noise } from './support/parity.js';
import { temporaryFolder } from './support/run.js';

type Sums = Record<string, Record<string, string>>;

const file = path.resolve('tests/bits.json');
const all = JSON.parse(await fs.readFile(file, 'utf8')) as Record<string, Sums>;
const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
const processor = await probe();
const writing = process.env.VQGEN_WRITE_BITS === '1';
const known: Sums | undefined = all[processor];

/** Keys of `stage1` that differ from the config `tiny`. */
const kinds: [string, string[]][] = [
  ['nearest', ['disc.start=3']],
  [
    'nearest, in parts',
    ['accumulate=2', 'bottleneck.gradient=rotation', 'disc.norm=spectral', 'disc.lecam=0.1'],
  ],
  ['ema', ['bottleneck.kind=ema']],
  ['cosine', ['bottleneck.kind=cosine', 'optimizer=adamw', 'weight_decay=0.01']],
  ['fsq', ['bottleneck.kind=fsq', 'bottleneck.levels=[4,8]']],
  ['lfq', ['bottleneck.kind=lfq']],
  ['hierarchy', ['network=strided', 'attn_resolutions=[]', 'bottleneck.kind=hierarchy']],
];

let root: string;
beforeAll(async () => {
  root = await temporaryFolder();
});
afterAll(async () => {
  await fs.rm(root, { recursive: true });
  if (writing) await fs.writeFile(file, `${JSON.stringify(all, null, 2)}\n`);
});

(known || writing ? test : test.skip).each(kinds)(
  '%s: weights, tokens and pictures of before',
  async (kind, keys) => {
    const set = ['data.drawn=40', 'stage1.disc.start=1', ...keys.map((key) => `stage1.${key}`)];
    const steps = {
      'stage1.steps': 6,
      'stage1.checkpoint_every': 6,
      'stage1.eval_every': 6,
      'prior.steps': 4,
    };
    const config = loadConfig({ config: 'tiny', set, overrides: steps });
    const run = path.join(root, kind);
    const o = { run, device, reporter: silent };
    await trainStage1({ ...o, config, resume: false });
    await tokenize(o);
    const { stage1, prior } = runPaths(run);
    const tokens = await withoutSum(tokenFile(run, 'train'));
    const made: Record<string, string> = { stage1: weightsIn(stage1), tokens };
    if (kind.startsWith('nearest')) {
      await trainPrior({ ...o, config, resume: false });
      const { files } = await sample({ ...o, n: 2 });
      Object.assign(made, { prior: weightsIn(prior), sample: await withoutRecipe(files[0]!) });
    }
    const sums: Record<string, string> = {};
    for (const [name, file] of Object.entries(made)) sums[name] = (await sha256(file)).slice(0, 16);
    if (writing) all[processor] = { ...all[processor], [kind]: sums };
    else expect(sums).toEqual(known![kind]);
  },
);

/** The sums in `bits.json` are of before token files had a checksum. */
async function withoutSum(file: string): Promise<string> {
  const { tensors, metadata } = await readChecked(file);
  await writeSafetensors(`${file}.plain`, tensors, metadata);
  return `${file}.plain`;
}

/** And of before pictures had a recipe, which stands between the header and the rest. */
async function withoutRecipe(file: string): Promise<string> {
  const png = await fs.readFile(file);
  expect(png.toString('latin1', 37, 47)).toBe('tEXtvqgen\0');
  await fs.writeFile(`${file}.plain`, [png.subarray(0, 33), png.subarray(33 + 12 + png.readUInt32BE(33))]);
  return `${file}.plain`;
}

const weightsIn = (stage: string): string => path.join(latestCheckpoint(stage)!.path, 'model.safetensors');

/** What this machine makes of a convolution, a product and the functions that are approximated. */
async function probe(): Promise<string> {
  const inputs = { x: noise([1, 8, 8, 16], 'x', 1), w: noise([3, 3, 16, 16], 'w', 0.2) };
  const graph = await device.prepare({
    name: 'probe',
    inputs: { x: { shape: [1, 8, 8, 16], dtype: 'float32' }, w: { shape: [3, 3, 16, 16], dtype: 'float32' } },
    constants: {},
    run: ({ x, w }) => {
      const y = tf.tanh(tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'));
      const rows = tf.reshape(y, [64, 16]);
      return { out: tf.matMul(tf.softmax(tf.matMul(rows, rows, false, true)), tf.sigmoid(rows)) };
    },
  });
  const { out } = await graph.run(inputs);
  await graph.dispose();
  return createHash('sha256').update(new Uint8Array(out!.data.buffer)).digest('hex').slice(0, 12);
}
