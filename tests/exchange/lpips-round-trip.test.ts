/**
 * A published loss, which holds discriminator and LPIPS together: import → export → import, with a VGG16 of a
 * sixteenth of the channels.
 */
import fs from 'node:fs';
import path from 'node:path';
import { jest } from '@jest/globals';
import { parse } from 'yaml';
import { noise } from '../support/parity.js';

const perceptual = await import('../../src/perceptual/distances.js');
/** As wide as it is, a file of it would take 59 MB. Everything that knows its shapes is imported after this. */
const narrow = (shape: readonly number[]) => shape.map((size) => (size >= 64 ? size / 16 : size));
const narrowShapes = () =>
  Object.fromEntries(Object.entries(perceptual.vgg16Shapes()).map(([name, shape]) => [name, narrow(shape)]));
jest.unstable_mockModule('../../src/perceptual/distances.js', () => ({
  ...perceptual,
  vgg16Shapes: narrowShapes,
}));
const { readRunConfig } = await import('../../src/checkpoint/run.js');
const { writeSafetensors } = await import('../../src/checkpoint/safetensors.js');
const { exportTaming } = await import('../../src/exchange/export.js');
const { importCheckpoint } = await import('../../src/exchange/import.js');
const { lpipsNames } = await import('../../src/exchange/lpips.js');
const { contents, weightsOf } = await import('./contents.js');
const { fixture, quiet, temporaryFolder } = await import('./fixtures.js');

const folder = temporaryFolder('lpips');

test.each(['taming', 'safetensors'] as const)(
  'with discriminator and LPIPS, as %s: every tensor as it was, and the same run again',
  async (to) => {
    const [run, out, again] = [folder(), folder(), folder()];
    const weights = `${folder()}.safetensors`;
    const tensors = Object.entries(narrowShapes()).map(([name, shape]) => [name, noise(shape, name)]);
    await writeSafetensors(weights, Object.fromEntries(tensors));
    await importCheckpoint({
      checkpoint: fixture('vqgan.ckpt'),
      config: fixture('vqgan.yaml'),
      set: ['stage1.perceptual.kind=lpips-vgg16', `stage1.perceptual.weights=${weights}`],
      run,
      reporter: quiet,
    });
    const { losses } = await exportTaming({ run, to, out, reporter: quiet });
    expect(losses).toBe(true);
    const checkpoint = path.join(out, to === 'taming' ? 'vqgan.ckpt' : 'vqgan.safetensors');
    const written = await contents(checkpoint);
    const ofLpips = Object.keys(written).filter((name) => name.startsWith('loss.perceptual_loss.'));
    expect(ofLpips.sort()).toEqual(
      lpipsNames('loss.perceptual_loss.')
        .map(({ name }) => name)
        .sort(),
    );
    for (const name of ofLpips) delete written[name];
    expect(written).toEqual(await contents(fixture('vqgan.ckpt')));
    const config = path.join(out, 'vqgan.yaml');
    const { model } = parse(fs.readFileSync(config, 'utf8'));
    expect(model.params.lossconfig.params).toMatchObject({ disc_start: 0, disc_ndf: 8, disc_num_layers: 2 });

    const summary = await importCheckpoint({ checkpoint, config, run: again, reporter: quiet });
    expect(summary).toMatchObject({ discriminator: true, perceptual: true, step: 7 });
    expect(await weightsOf(again, 'stage1')).toEqual(await weightsOf(run, 'stage1'));
    expect(await contents(path.join(again, 'lpips-vgg16.safetensors'))).toEqual(await contents(weights));

    const moved = folder();
    fs.renameSync(again, moved);
    expect(fs.readFileSync(path.join(moved, 'config.json'), 'utf8')).toContain('"./lpips-vgg16.safetensors"');
    const { weights: own } = readRunConfig(moved).stage1.perceptual;
    expect(own).toBe(path.join(moved, 'lpips-vgg16.safetensors'));
  },
);
