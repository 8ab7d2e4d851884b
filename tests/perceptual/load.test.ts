import fs from 'node:fs/promises';
import path from 'node:path';
import { readSafetensors, type StoredTensors, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { parseConfig } from '../../src/config/layers.js';
import { loadPerceptual, loadTrained } from '../../src/perceptual/load.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

test('weights that are not there: what to do instead', async () => {
  const perceptual = { kind: 'lpips-vgg16', weights: '/none.safetensors' };
  await expect(loadPerceptual(parseConfig({ stage1: { perceptual } }, 'test'))).rejects.toThrow(
    'Expected a safetensors file for stage1.perceptual.weights but received /none.safetensors, which does not exist. ' +
      'Where it is now is told by vqgen train-stage1 --resume --set stage1.perceptual.weights=FILE; ' +
      'a new run may do without: --set stage1.perceptual.kind=random-features.',
  );
});

test.each([
  ['version https://git-lfs.github.com/spec/v1\n', 'a Git LFS pointer'],
  ['<!doctype html><html>', 'a web page (HTML)'],
])('%j in place of the weights', async (text, what) => {
  const weights = path.join(await freshFolder(), 'lpips.safetensors');
  await fs.writeFile(weights, text);
  const perceptual = { kind: 'lpips-vgg16', weights };
  await expect(loadPerceptual(parseConfig({ stage1: { perceptual } }, 'test'))).rejects.toThrow(
    `Expected a safetensors file for ${weights} but received ${what}`,
  );
});

/** The network that comes with vqgen, as F64 and changed. */
async function changed(
  change: (values: Float64Array, name: string) => void,
  about: (metadata: Record<string, string>) => Record<string, string> = (metadata) => metadata,
): Promise<string> {
  const { tensors, metadata } = await readSafetensors('checkpoints/perceptual/perceptual.safetensors');
  const doubles = Object.entries(tensors).map(([name, { shape, data }]) => {
    const values = Float64Array.from(data as Float32Array);
    change(values, name);
    return [name, { dtype: 'F64', shape, data: values }] as const;
  });
  const file = path.join(await freshFolder(), 'perceptual.safetensors');
  await writeSafetensors(file, Object.fromEntries(doubles) as StoredTensors, about(metadata));
  return file;
}

test('float64 is rounded', async () => {
  const [{ weights }, own] = [await loadTrained(await changed(() => {})), await loadTrained()];
  expect(Object.keys(weights)).toEqual(Object.keys(own.weights));
  const differs = (name: string) => weights[name]!.data.some((v, i) => v !== own.weights[name]!.data[i]);
  expect(Object.keys(weights).filter(differs)).toEqual([]);
});

test('a value that is not finite is told', async () => {
  const [name] = Object.keys((await loadTrained()).weights);
  const file = await changed((values, at) => {
    if (at === name) values[1] = Number.NaN;
  });
  await expect(loadTrained(file)).rejects.toThrow(
    `Expected finite numbers for the tensor ${name} in ${file} but received NaN at place 1 of`,
  );
});

test('how images are halved: as the file says, by means where it is of before', async () => {
  expect((await loadTrained()).pooling).toBe('smooth');
  const before = await changed(
    () => {},
    ({ pooling: _, ...metadata }) => metadata,
  );
  expect((await loadTrained(before)).pooling).toBe('means');
  const other = await changed(
    () => {},
    (metadata) => ({ ...metadata, pooling: 'wide' }),
  );
  await expect(loadTrained(other)).rejects.toThrow(
    `Expected a network that halves images by smooth or means for ${other} but received wide. A newer vqgen`,
  );
});
