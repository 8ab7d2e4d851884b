import fs from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '../pictures-folder.js';
import {
  idxOf,
  opened,
  type Part,
  parquetOf,
  partsIn,
  refusal,
  tarOf,
  writePictures,
  zipOf,
} from './made.js';

let dir: string;
let parts: Part[];
const at = (name: string): string => path.join(dir, name);
const kinds = ['a.zip', 'a.tar', 'a.parquet', 'a-images-idx3-ubyte', 'data_batch_1.bin', 'train.bin'];

const labelled = (from: readonly Part[]) =>
  from.map(({ name, bytes }) => ({ bytes, label: path.dirname(name) }));

beforeAll(async () => {
  dir = await temporaryFolder();
  parts = await partsIn(at('folder'), await writePictures(at('folder')));
  await fs.writeFile(at('fine_label_names.txt'), 'apple\n');
});

afterAll(() => fs.rm(dir, { recursive: true }));

test.each(kinds)(
  '%s: an empty file, a text and a half are refused in a sentence that names it',
  async (name) => {
    const whole = {
      'a.zip': zipOf(parts),
      'a.tar': await tarOf(parts),
      'a.parquet': parquetOf(labelled(parts), ['cat', 'dog']),
      'a-images-idx3-ubyte': idxOf([2, 9, 9], Buffer.alloc(162)),
      'data_batch_1.bin': Buffer.alloc(2 * 3073),
      'train.bin': Buffer.alloc(3 * 3074),
    }[name]!;
    await fs.writeFile(at(name), whole);
    expect(await refusal(at(name))).toBe('taken');
    const text = Buffer.from('Pictures of cats and dogs. '.repeat(40));
    for (const bytes of [Buffer.alloc(0), text, whole.subarray(0, whole.length / 2 - 1)]) {
      await fs.writeFile(at(name), bytes);
      expect(await refusal(at(name))).toMatch(
        new RegExp(
          `^UserError: Expected a whole [^.]* for --data but received /${name}, which is damaged: [^\n]+ again\\.$`,
        ),
      );
    }
  },
);

test('a picture that is damaged is left out with its reason, as in a folder', async () => {
  const [first, ...rest] = parts;
  const bad = Buffer.from(first!.bytes);
  bad.fill(0, 40, 60);
  const holed = [{ name: 'cat/picture-00.png', bytes: bad }, ...rest];
  await fs.mkdir(at('holed'));
  await fs.cp(at('folder'), at('holed'), { recursive: true });
  await fs.writeFile(at('holed/cat/picture-00.png'), bad);
  await fs.writeFile(at('holed.zip'), zipOf(holed));
  await fs.writeFile(at('holed.tar'), await tarOf(holed));
  await fs.writeFile(at('holed.parquet'), parquetOf(labelled(holed), ['cat', 'dog']));
  const reasons: (readonly string[])[] = [];
  for (const name of ['holed', 'holed.zip', 'holed.tar', 'holed.parquet']) {
    const { skipped, train, val } = await opened(at(name), at('cache'));
    expect(train.count + val.count).toBe(11);
    reasons.push(skipped.map(({ reason }) => reason));
  }
  expect(reasons[0]).toHaveLength(1);
  expect(reasons).toEqual(reasons.map(() => reasons[0]));
});
