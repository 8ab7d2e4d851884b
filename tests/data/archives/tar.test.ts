import fs from 'node:fs/promises';
import path from 'node:path';
import { listImages } from '../../../src/data/source.js';
import { temporaryFolder, writePicture } from '../pictures-folder.js';
import { batchOf, opened, type Part, partsIn, refusal, seen, tarOf, writePictures } from './made.js';

let dir: string;
let parts: Part[];
const at = (name: string): string => path.join(dir, name);

async function writeTar(file: string, entries: Parameters<typeof tarOf>[0]): Promise<Buffer> {
  const whole = await tarOf(entries);
  await fs.mkdir(path.dirname(at(file)), { recursive: true });
  await fs.writeFile(at(file), whole);
  return whole;
}

beforeAll(async () => {
  dir = await temporaryFolder();
  parts = await partsIn(at('folder'), await writePictures(at('folder')));
});

afterAll(() => fs.rm(dir, { recursive: true }));

test('a tar of a folder is the folder, with long names and other files in it', async () => {
  const long = 'long/'.repeat(40);
  const inside = parts.map((part) => ({ ...part, name: `./${long}${part.name}` }));
  await writeTar('whole.tar', [{ name: './._litter.png', bytes: 'x' }, ...inside]);
  expect(await seen(at('whole.tar'), at('cache'))).toBe(await seen(at('folder'), at('cache')));
});

test('shards of WebDataset: a class beside each picture, each key as often as there are shards', async () => {
  const label = (name: string): string => name.split('/')[0]!;
  for (const shard of [0, 1]) {
    await writeTar(
      `shards/train-${shard}.tar`,
      parts
        .slice(6 * shard, 6 * shard + 6)
        .flatMap(({ name, bytes }, i) => [
          { name: `${i}.txt`, bytes: 'a caption' },
          { name: `${i}.png`, bytes },
          shard === 0
            ? { name: `${i}.cls`, bytes: `${label(name)}\n` }
            : { name: `${i}.json`, bytes: JSON.stringify({ label: 3, class_name: label(name) }) },
        ]),
    );
  }
  await writeTar('shards/val-0.tar', parts);
  for (const [i, { name, bytes }] of parts.entries()) {
    await fs.mkdir(path.dirname(at(`flat/${name}`)), { recursive: true });
    await fs.writeFile(at(`flat/${label(name)}/train-${i < 6 ? 0 : 1}-${i % 6}.png`), bytes);
  }
  expect(await batchOf(at('shards'), at('cache'))).toBe(await batchOf(at('flat'), at('cache')));
  const shards = await listImages(at('shards'));
  expect(shards.classes).toEqual(['cat', 'dog']);
});

test('damaged and hostile archives are refused by name', async () => {
  const whole = await writeTar('whole.tar', parts);
  const flipped = Buffer.from(whole);
  flipped[512 + Math.ceil(parts[0]!.bytes.length / 512) * 512 + 3]! ^= 1;
  const huge = Buffer.from(whole);
  huge.write('77777777777', 124);
  const cases: Record<string, Buffer> = {
    'cut.tar': whole.subarray(0, 600),
    'unclosed.tar': whole.subarray(0, whole.length - 1024),
    'flipped.tar': flipped,
    'sum.tar': huge,
    'none.tar': Buffer.alloc(1024),
    'packed.tar.gz': Buffer.from('\x1f\x8b\x08', 'latin1'),
  };
  const said: Record<string, string> = {};
  for (const [name, bytes] of Object.entries(cases)) {
    await fs.writeFile(at(name), bytes);
    said[name] = await refusal(at(name));
  }
  await writeTar('outside.tar', [{ name: '../x.png', bytes: 'x' }]);
  await writeTar('none/part.tar.gz', []);
  await writeTar('two/a.tar', parts);
  await fs.writeFile(at('two/b.zip'), '');
  for (const name of ['outside.tar', 'none', 'two']) said[name] = await refusal(at(name));
  expect(said).toMatchInlineSnapshot(`
{
  "cut.tar": "UserError: Expected a whole tar file for --data but received /cut.tar, which is damaged: it ends within cat/picture-00.png. Copy or download it again.",
  "flipped.tar": "UserError: Expected a whole tar file for --data but received /flipped.tar, which is damaged: a header in it does not have its sum. Copy or download it again.",
  "none": "UserError: Expected a folder of images for --data but received /none/part.tar.gz, which is compressed as a whole, so that no picture in it can be reached. Unpack it with gunzip (gunzip -k keeps the compressed one) and name what comes out.",
  "none.tar": "UserError: Expected a folder of images for --data but received /none.tar, which holds no image file. Give a folder that holds JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG files, or an archive of pictures: zip, tar, parquet, MNIST idx or CIFAR binary files.",
  "outside.tar": "UserError: Expected a whole tar file for --data but received /outside.tar, which is damaged: ../x.png leads out of it. Copy or download it again.",
  "packed.tar.gz": "UserError: Expected a folder of images for --data but received /packed.tar.gz, which is compressed as a whole, so that no picture in it can be reached. Unpack it with gunzip (gunzip -k keeps the compressed one) and name what comes out.",
  "sum.tar": "UserError: Expected a whole tar file for --data but received /sum.tar, which is damaged: a header in it does not have its sum. Copy or download it again.",
  "two": "UserError: Expected archives of one kind for --data but received /two, which holds a.tar and b.zip. Name one of them, or a folder of one kind.",
  "unclosed.tar": "UserError: Expected a whole tar file for --data but received /unclosed.tar, which is damaged: it ends without the blocks that close a tar file. Copy or download it again.",
}
`);
});

test('an archive that changes under a training gives no other pictures', async () => {
  await writeTar('changing.tar', parts);
  const source = await listImages(at('changing.tar'));
  await writePicture(dir, 'other.png', { level: 9 });
  await writeTar('changing.tar', [{ name: 'cat/1.png', bytes: await fs.readFile(at('other.png')) }]);
  await expect(source.read(0, 8)).rejects.toThrow('changing.tar is no longer the file that it was');
  const { train, val } = await opened(at('changing.tar'), at('cache'));
  expect([train.count, val.count]).toEqual([1, 1]);
});
