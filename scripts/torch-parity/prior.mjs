/**
 * Ten steps of small priors by vqgen, for `pytorch/tests/parity_prior.py` to take them again: what each step is fed, the
 * state before and after, losses, and a validation.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent } from '../../dist/base/progress.js';
import { stream } from '../../dist/base/rng.js';
import { int32, scalar } from '../../dist/base/tensor.js';
import { writeSafetensors } from '../../dist/checkpoint/safetensors.js';
import { configSchema } from '../../dist/config/schema.js';
import { openDevice } from '../../dist/engine/index.js';
import { over, under } from '../../dist/nn/params.js';
import { priorOf, priorSettings } from '../../dist/stage2-transformer/index.js';
import { labelled, trainingCanvases, validationRows } from '../../dist/stage2-transformer/sequences.js';
import {
  lossNames,
  meanLosses,
  priorEvaluation,
  priorStart,
  priorStep,
} from '../../dist/stage2-transformer/step.js';
import { openTokenWriter, readTokens } from '../../dist/tokenize/token-file.js';
import { meanOf, microBatches, withoutPartial } from '../../dist/train/accumulation.js';
import { learningRate } from '../../dist/train/schedule.js';

/** Steps before those that are compared, so that few gradients are 0, and moments are not but in the case that asks. */
const before = 40;
const compared = 10;

/** Of what the tokens are, beside the prior's section of the config. */
const usual = { side: 4, vocab: 24, classes: 3, codings: 1 };

/** Between them every option of both kinds; `anew` leaves nothing of the steps before but weights. */
const given = {
  'gpt-plain': { prior: { norm: 'layer', mlp: 'gelu', class_labels: 'none', weight_decay: 0, clip: 0 } },
  'gpt-classes': { prior: { mlp: 'relu2', pkeep: 0.8, class_dropout: 0.3, clip: 0.1 }, codings: 3 },
  'gpt-rope': {
    prior: { norm: 'rms', mlp: 'swiglu', qk_norm: true, positions: 'rope', pkeep: 0.9, seed: 7 },
  },
  'gpt-annealed': {
    prior: { order: 'annealed', steps: 64, pkeep: 0.9, weight_decay: 0.1, class_dropout: 0.1 },
  },
  'gpt-annealed-rope': {
    prior: { order: 'annealed', steps: 70, positions: 'rope', qk_norm: true, norm: 'rms', accumulate: 2 },
  },
  'gpt-anew': { anew: true, prior: { clip: 0.1 } },
  'maskgit-plain': {
    prior: {
      kind: 'maskgit',
      class_labels: 'none',
      label_smoothing: 0,
      mask_schedule: 'linear',
      norm: 'layer',
    },
  },
  'maskgit-classes': {
    prior: { kind: 'maskgit', mask_schedule: 'cosine', class_dropout: 0.25, mlp: 'gelu', weight_decay: 0.1 },
    vocab: 70000,
  },
  'maskgit-rope': {
    prior: {
      ...{ kind: 'maskgit', mask_schedule: 'arccos', substitute: 0.5, label_smoothing: 0.2, accumulate: 2 },
      ...{ positions: 'rope', norm: 'rms', mlp: 'swiglu', qk_norm: true, clip: 0.5 },
    },
    codings: 2,
  },
  'maskgit-square': {
    prior: {
      kind: 'maskgit',
      mask_schedule: 'square',
      substitute: 0.3,
      class_labels: 'none',
      positions: 'rope',
    },
  },
};

export const cases = () => Object.keys(given);

const configOf = ({ prior }) =>
  configSchema.parse({
    seed: 3,
    prior: {
      ...{ layers: 2, heads: 2, width: 32, dropout: 0, batch_size: 8, steps: 200, warmup: 10, lr: 2e-3 },
      ...prior,
    },
  });

/** @param folder to write the case into */
export async function write(name, folder) {
  const shape = { ...usual, ...given[name] };
  const config = configOf(given[name]);
  const settings = priorSettings(config);
  await fs.mkdir(path.join(folder, 'tokens'), { recursive: true });
  const tokens = {};
  for (const [split, images] of Object.entries({ train: 45, val: 29 }))
    tokens[split] = await writtenTokens(
      path.join(folder, 'tokens', `${split}.safetensors`),
      split,
      images,
      shape,
    );
  const classes = config.prior.class_labels === 'none' ? [] : tokens.train.classes;
  const prior = priorOf(settings, tokens.train.grids, { classes, grids: [] });

  const device = await openDevice({ device: 'cpu', reporter: silent });
  const program = priorStep(settings, prior);
  const runner = withoutPartial(program, await device.prepareStep(program));
  const { seed, batch_size: batchSize, accumulate } = settings;
  const classDropout = classes.length > 0 ? settings.class_dropout : 0;
  const canvases = trainingCanvases(labelled(tokens.train, classes), { batchSize, seed, classDropout });
  const feeds = {};
  const steps = [];
  let since = 0;
  const take = async (step) => {
    const { batched, common } = prior.feed('train', step, canvases(step));
    const lr = learningRate(step, settings, since);
    const outputs = await runner.run(
      microBatches(accumulate, batched, { ...common, lr: scalar(lr), step: scalar(step - since) }),
    );
    const loss = meanOf(outputs, 'loss');
    if (step > before) Object.assign(feeds, over(`${step}`, batched));
    if (step > before) steps.push({ step, lr, loss });
  };
  const start = priorStart(prior, seed);
  runner.load(start);
  for (let step = 1; step <= before; step++) await take(step);
  let begun = await runner.read();
  if (given[name].anew) {
    since = before;
    begun = over('model', under('model', begun));
    runner.load({ ...start, ...begun });
  }
  await writeSafetensors(path.join(folder, 'before.safetensors'), begun);
  for (let step = before + 1; step <= before + compared; step++) await take(step);
  const state = await runner.read();
  await writeSafetensors(path.join(folder, 'after.safetensors'), state);
  await writeSafetensors(path.join(folder, 'fed.safetensors'), feeds);

  const batch = batchSize / accumulate;
  const evaluation = await device.prepare(priorEvaluation(prior, batch));
  const rows = validationRows(tokens.val.count, 1000);
  const weights = over('model', under('model', state));
  const validation = await meanLosses(evaluation, prior, labelled(tokens.val, classes), rows, {
    batch,
    weights,
  });
  const json = { config, classes, before, since, steps, validation: validation[lossNames(prior)[0]] };
  for (const [name, value] of Object.entries(json))
    await fs.writeFile(path.join(folder, `${name}.json`), `${JSON.stringify(value, null, 1)}\n`);
  await runner.dispose();
  await evaluation.dispose();
}

/** Codes that follow from the class, the cell and the one before, half of the time. */
async function writtenTokens(file, split, images, { side, vocab, classes, codings }) {
  const grid = { name: 'codes', height: side, width: side, vocab };
  const rng = stream('parity', split);
  const names = Array.from({ length: classes }, (_, i) => `class ${i} \u00e9\u2603`);
  const rows = images * codings;
  const labels = Int32Array.from({ length: rows }, (_, row) => Math.floor(row / codings) % classes);
  const codes = new Int32Array(rows * side * side);
  for (let i = 0; i < codes.length; i++) {
    const cell = i % (side * side);
    const likely = 5 * labels[(i - cell) / side / side] + cell + (cell > 0 ? codes[i - 1] : 0);
    codes[i] = rng.uniform() < 0.5 ? likely % vocab : rng.below(vocab);
  }
  const writer = await openTokenWriter(file, [grid]);
  await writer.append({ codes: int32([rows, side, side], codes) });
  const info = { tokenizer: '0'.repeat(64), size: 32, names: Array.from(labels, (_, i) => `${i}.png`) };
  await writer.finish({ ...info, classes: names, codings }, labels);
  return readTokens(file, '');
}
