/**
 * What vqgen's own stage 1 does in ten steps, for `pytorch/tests/parity_stage1.py` to do the same: tiny configs that
 * together cover what the PyTorch project knows. Needs dist/ (`npm run setup`).
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent } from '../../dist/base/progress.js';
import { stream } from '../../dist/base/rng.js';
import { float32, sizeOf } from '../../dist/base/tensor.js';
import { writeSafetensors } from '../../dist/checkpoint/safetensors.js';
import { parseConfig } from '../../dist/config/layers.js';
import { evalImages } from '../../dist/data/batches.js';
import { openDataset } from '../../dist/data/dataset.js';
import { psnrOfEach } from '../../dist/data/psnr.js';
import { onnxDevice } from '../../dist/engine/onnx-device.js';
import { under } from '../../dist/nn/params.js';
import { vgg16Shapes } from '../../dist/perceptual/distances.js';
import { loadPerceptual } from '../../dist/perceptual/load.js';
import { judgingOf } from '../../dist/stage1-vqgan/adversary/index.js';
import { networksOf } from '../../dist/stage1-vqgan/model.js';
import { evaluateProgram } from '../../dist/stage1-vqgan/programs.js';
import { stage1Runner } from '../../dist/stage1-vqgan/runner.js';
import { startsOf, withStarts } from '../../dist/stage1-vqgan/starts.js';
import { initialState } from '../../dist/stage1-vqgan/state.js';
import { stepInputs } from '../../dist/stage1-vqgan/step-inputs.js';

/**
 * Steps before those that are compared: moments are no longer 0, at which a step's size is that of a sign, but in the
 * case that asks for it.
 */
const before = 40;
const compared = 10;

const base = {
  ...{ ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 8, embed_dim: 8, codes: 16 },
  ...{ steps: 1000, batch_size: 4, lr: 1e-4, warmup: 10 },
  codebook: { init: 'data', warmup: 10, restart_after: 0 },
  disc: { ch: 8, layers: 2, start: 21 },
  perceptual: { kind: 'none' },
};

/**
 * Differences from `base`, by the names of the cases; `size` is the side of the pictures, and `anew` leaves nothing of
 * the steps before but weights.
 */
const changes = {
  nearest: { perceptual: { kind: 'vqgen' } },
  rotation: {
    ...{
      bottleneck: { gradient: 'rotation' },
      filter: 'photo',
      attn_resolutions: [8],
      pixel: 'l2',
    },
    codebook: { warmup: 42 },
    disc: { norm: 'group', loss: 'vanilla', lecam: 0.05 },
    perceptual: { kind: 'random-features' },
  },
  ema: {
    ...{ bottleneck: { kind: 'ema', decay: 0.9 }, legacy_beta: true, codes: 128 },
    codebook: { restart_after: 3 },
    disc: { norm: 'spectral', r1: 1, warmup: 25 },
  },
  'ema-from-data': {
    ...{ bottleneck: { kind: 'ema', decay: 0.9, gradient: 'rotation' }, pixel: 'nll', codes: 64 },
    codebook: { warmup: 43, restart_after: 2 },
    disc: { start: 41 },
  },
  cosine: {
    ...{ bottleneck: { kind: 'cosine' }, pixel: 'nll', codes: 256, optimizer: 'adamw', weight_decay: 0.05 },
    codebook: { restart_after: 3 },
    disc: { augment: ['translation', 'cutout', 'colour'], r1: 1, lecam: 0.05 },
    perceptual: { kind: 'vqgen', weight: 0.5 },
  },
  fsq: {
    ...{
      bottleneck: { kind: 'fsq', levels: [4, 3, 2] },
      codes: 24,
      ema: 0,
      ch_mult: [1, 1, 2],
    },
    disc: { augment: ['translation'] },
  },
  lfq: {
    ...{
      bottleneck: { kind: 'lfq' },
      codes: 32,
      clip: 0,
      batch_size: 8,
      size: 32,
      ch_mult: [1, 1, 2],
      betas: [0.9, 0.99],
    },
    disc: { norm: 'spectral', loss: 'vanilla', weight: 1, weight_cap: 2 },
  },
  strided: {
    ...{ network: 'strided', upsampling: 'transposed', ch_mult: [1, 2, 2], size: 32, num_res_blocks: 2 },
    ...{ bottleneck: { kind: 'ema', decay: 0.9 }, codes: 64 },
    codebook: { restart_after: 3 },
  },
  'strided-nearest': {
    ...{ network: 'strided', upsampling: 'nearest', filter: 'photo', optimizer: 'adamw', weight_decay: 0.05 },
    perceptual: { kind: 'vqgen' },
  },
  plain: {
    ...{
      codebook: { init: 'uniform', restart_after: 4 },
      disc: { weight: 0 },
      num_res_blocks: 2,
      codes: 128,
      schedule: 'constant',
    },
    perceptual: { kind: 'lpips-vgg16' },
  },
  anew: { anew: true, bottleneck: { kind: 'ema', decay: 0.9 }, codebook: { restart_after: 3 } },
};

export const cases = () => Object.keys(changes);

/**
 * Into `folder`: config, states, pictures and what came of them.
 *
 * @param seed where an encoder output lies between two codes to within rounding, one side takes the one and the other
 *   side the other code, and from then on they differ; another seed is then another try
 */
export async function write(name, folder, seed = 3) {
  const { size = 16, anew = false, ...change } = changes[name];
  const merged = Object.fromEntries(
    Object.entries({ ...base, ...change }).map(([key, value]) => [
      key,
      ['codebook', 'disc', 'perceptual'].includes(key) ? { ...base[key], ...value } : value,
    ]),
  );
  if (merged.perceptual.kind === 'lpips-vgg16') {
    merged.perceptual.weights = path.join(folder, 'vgg16.safetensors');
    await writeSafetensors(merged.perceptual.weights, anyVgg16());
  }
  const planned = parseConfig({ seed, data: { size, drawn: 64, flip: true }, stage1: merged }, name);
  const starts = startsOf(planned);
  const config = withStarts(planned, starts);
  const { stage1 } = config;
  const networks = networksOf(config);
  const perceptual = await loadPerceptual(config);
  const device = onnxDevice({ threads: 1 });
  const cacheDir = path.join(folder, 'pictures');
  const { train, val } = await openDataset(config.data, { cacheDir, reporter: silent });
  const runner = await stage1Runner(networks, perceptual, stage1, device, {
    adversarial: false,
    onSwitch() {},
  });
  const initial = initialState(networks, stage1, seed);
  runner.load(initial);

  const entriesAt = (step, since) => stepInputs(networks, config, train, { step, starts, since });
  for (let step = 1; step <= before; step++) await runner.run(await entriesAt(step));
  const states = { before: await runner.read() };
  if (anew) states.before = weightsIn(states.before);
  if (anew) runner.load({ ...initial, ...states.before });
  const since = anew ? before : 0;
  const steps = [];
  const pictures = [];
  for (let step = before + 1; step <= before + compared; step++) {
    const [entry] = await entriesAt(step, since);
    const [{ codes, ...scalars }] = await runner.run([entry]);
    steps.push({ step, lr: entry.lr.data[0], codes: Array.from(codes.data), values: numbersIn(scalars) });
    pictures.push(...entry.images.data);
  }
  states.after = await runner.read();
  await runner.dispose();

  const batch = stage1.batch_size;
  const originals = await evalImages(
    val,
    Array.from({ length: batch }, (_, i) => i % val.count),
    size,
  );
  const { adversary } = networks;
  const program = evaluateProgram(networks, perceptual, stage1, batch);
  const graph = await device.prepare(program);
  const weights = { ...under(stage1.ema > 0 ? 'ema' : 'model', states.after) };
  const { reconstruction, ...means } = await graph.run({
    ...{ images: originals, ...weights },
    ...(adversary && judgingOf(adversary, states.after)),
  });
  await graph.dispose();
  const psnrs = psnrOfEach(originals, reconstruction);
  const validation = { ...numbersIn(means), psnr: psnrs.reduce((sum, value) => sum + value, 0) / batch };

  for (const [when, state] of Object.entries(states))
    await writeSafetensors(path.join(folder, `${when}.safetensors`), state);
  await writeSafetensors(path.join(folder, 'pictures.safetensors'), {
    train: float32([compared, batch, size, size, 3], Float32Array.from(pictures)),
    val: originals,
  });
  if (perceptual) {
    const { constants, pooling } = perceptual;
    const file = path.join(folder, 'perceptual.safetensors');
    await writeSafetensors(file, constants, pooling ? { pooling } : {});
  }
  await fs.writeFile(
    path.join(folder, 'about.json'),
    JSON.stringify({ name, config, starts, before, since, steps, validation }),
  );
}

const weightsIn = (state) =>
  Object.fromEntries(Object.entries(state).filter(([name]) => /^(model|ema|disc)\./.test(name)));

const numbersIn = (tensors) =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data[0]]));

/** VGG16 as nobody trained it. */
function anyVgg16() {
  return Object.fromEntries(
    Object.entries(vgg16Shapes()).map(([name, shape]) => {
      const rng = stream(0, name);
      const scale = name.startsWith('lin') ? 0.05 : shape.length > 1 ? Math.sqrt(2 / (shape[1] * 9)) : 0.05;
      const values = Float32Array.from({ length: sizeOf(shape) }, () => scale * rng.normal());
      return [name, float32(shape, name.startsWith('lin') ? values.map(Math.abs) : values)];
    }),
  );
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [out, ...names] = process.argv.slice(2);
  for (const name of names.length > 0 ? names : cases()) {
    const folder = path.join(path.resolve(out), 'stage1', name);
    await fs.mkdir(folder, { recursive: true });
    await write(name, folder);
    console.log(`${name}: ${folder}`);
  }
}
