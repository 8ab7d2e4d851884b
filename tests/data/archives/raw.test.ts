import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { silent } from '../../../src/base/progress.js';
import { listImages } from '../../../src/data/source.js';
import { temporaryFolder } from '../pictures-folder.js';
import { batchOf, idxOf, refusal, two } from './made.js';

let dir: string;
const at = (name: string): string => path.join(dir, name);
const count = 12;
const label = (i: number): number => i % 3;
const value = (i: number, at: number): number => (31 * i + 7 * at) % 256;

beforeEach(async () => {
  dir = await temporaryFolder();
});

afterEach(() => fs.rm(dir, { recursive: true }));

/** The same pictures as PNG files, and the class of each. */
async function asFolder(o: { side: number; channels: 1 | 3; stem: string; classes: readonly string[] }) {
  const { side, channels, stem, classes } = o;
  for (let i = 0; i < count; i++) {
    const data = Uint8Array.from({ length: side * side * channels }, (_, at) => value(i, at));
    const file = at(`folder/${classes[label(i)]}/${stem}${two(i)}.png`);
    await fs.mkdir(path.dirname(file), { recursive: true });
    await sharp(data, { raw: { width: side, height: side, channels } })
      .png()
      .toFile(file);
  }
}

async function writeIdx(name: string, shape: number[], bytes: Uint8Array): Promise<void> {
  await fs.mkdir(path.dirname(at(name)), { recursive: true });
  await fs.writeFile(at(name), idxOf(shape, bytes));
}

const [images, labels] = ['mnist/raw/train-images-idx3-ubyte', 'mnist/raw/train-labels-idx1-ubyte'];

async function writeMnist(): Promise<void> {
  const pixels = Uint8Array.from({ length: count * 28 * 28 }, (_, at) =>
    value(Math.floor(at / 784), at % 784),
  );
  await writeIdx(images, [count, 28, 28], pixels);
  await writeIdx(
    labels,
    [count],
    Uint8Array.from({ length: count }, (_, i) => label(i)),
  );
}

/** Colours one after another, in each record. */
function cifar(before: (i: number) => number[]): Buffer {
  const records = Array.from({ length: count }, (_, i) => {
    const planes = [0, 1, 2].flatMap((c) => Array.from({ length: 1024 }, (_, p) => value(i, 3 * p + c)));
    return [...before(i), ...planes];
  });
  return Buffer.from(records.flat());
}

test('MNIST: the pictures of a folder, with their labels; the test set is left out of the folder', async () => {
  await writeMnist();
  await writeIdx('mnist/raw/t10k-images-idx3-ubyte', [1, 2, 2], new Uint8Array(4));
  await asFolder({ side: 28, channels: 1, stem: '', classes: ['0', '1', '2'] });
  expect(await batchOf(at(images), at('cache'))).toBe(await batchOf(at('folder'), at('cache')));
  const said: string[] = [];
  const { names } = await listImages(at('mnist'), '--data', {
    reporter: { ...silent, note: (text) => said.push(text) },
  });
  expect(names[3]).toBe('raw-train-images-idx3-ubyte-03');
  expect(names.length).toBe(count);
  expect(said.join('\n')).toContain('raw/t10k-images-idx3-ubyte (held out, by its name');
});

test.each([
  ['CIFAR-10', 'data_batch_1.bin', 'test_batch.bin', 'batches.meta.txt', (i: number) => [label(i)]],
  ['CIFAR-100', 'train.bin', 'test.bin', 'fine_label_names.txt', (i: number) => [9, label(i)]],
] as const)(
  '%s: the pictures of a folder, with the names of their classes',
  async (_, file, test, names, before) => {
    const bytes = cifar((i) => [...before(i)]);
    const stem = `${path.basename(file, '.bin')}-`;
    await fs.mkdir(at('cifar'));
    await fs.writeFile(at(`cifar/${names}`), 'apple\nbear\ncar\n\n');
    for (const name of [file, test]) await fs.writeFile(at(`cifar/${name}`), bytes);
    await asFolder({ side: 32, channels: 3, stem, classes: ['apple', 'bear', 'car'] });
    expect(await batchOf(at('cifar'), at('cache'))).toBe(await batchOf(at('folder'), at('cache')));
    expect((await listImages(at(`cifar/${test}`))).names.length).toBe(count);
    await fs.writeFile(at(`cifar/${file}`), bytes.subarray(1));
    expect(await refusal(at('cifar'))).toMatch(
      /^UserError: Expected a whole CIFAR-100? file for --data .*not whole/,
    );
  },
);

test('damaged idx files are refused by name', async () => {
  await writeMnist();
  const said = [await refusal(at(labels))];
  await writeIdx(labels, [count - 1], new Uint8Array(count - 1));
  said.push(await refusal(at(images)));
  await writeIdx(images, [count, 28, 28], new Uint8Array(99));
  said.push(await refusal(at('mnist')));
  expect(said).toMatchInlineSnapshot(`
[
  "UserError: Expected a folder of images for --data but received /train-labels-idx1-ubyte, which holds labels or other numbers, no pictures. Name the file of images beside it.",
  "UserError: Expected a whole idx file for --data but received /train-images-idx3-ubyte, which is damaged: train-labels-idx1-ubyte has other labels than one for each of its 12 pictures. Copy or download it again.",
  "UserError: Expected a whole idx file for --data but received /mnist/raw/train-images-idx3-ubyte, which is damaged: train-images-idx3-ubyte has 115 bytes, where its head says 9424. Copy or download it again.",
]
`);
});
