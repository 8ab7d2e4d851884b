import fs from 'node:fs/promises';
import path from 'node:path';
import { silent } from '../../../src/base/progress.js';
import { listImages } from '../../../src/data/source.js';
import { temporaryFolder } from '../pictures-folder.js';
import { opened, partsIn, refusal, seen, writePictures, zipOf } from './made.js';

let dir: string;
let names: string[];
const at = (name: string): string => path.join(dir, name);

beforeAll(async () => {
  dir = await temporaryFolder();
  names = await writePictures(at('folder'));
});

afterAll(() => fs.rm(dir, { recursive: true }));

test('a zip of a folder is the folder: names, classes, splits, pixels, what files held', async () => {
  const parts = await partsIn(at('folder'), names);
  const asFolder = await seen(at('folder'), at('cache'));
  await fs.writeFile(at('deflated.zip'), zipOf(parts));
  const inTop = parts.map((part) => ({ ...part, name: `photos/${part.name}`, stored: true }));
  const litter = { name: '__MACOSX/photos/._1.png', bytes: Buffer.alloc(9) };
  await fs.writeFile(at('stored, in a folder, mixed.zip'), zipOf([litter, ...inTop.reverse()]));
  for (const name of ['deflated.zip', 'stored, in a folder, mixed.zip']) {
    expect(await seen(at(name), at('cache'))).toBe(asFolder);
  }
});

test('what is no picture is told, pictures without ending are found, links are not followed', async () => {
  const [first, second] = await partsIn(at('folder'), names);
  const parts = [
    { ...first!, name: 'cat/one' },
    { ...second!, name: 'dog/two.png' },
    { name: 'cat/notes.txt', bytes: Buffer.from('notes') },
    { name: 'cat/link.png', bytes: Buffer.from('/etc/passwd'), attributes: 0o120777 * 2 ** 16 },
  ];
  await fs.writeFile(at('mixed.zip'), zipOf(parts));
  const said: string[] = [];
  const { names: found } = await listImages(at('mixed.zip'), '--data', {
    reporter: { ...silent, note: (text) => said.push(text) },
  });
  expect(found).toEqual(['cat/one', 'dog/two.png']);
  expect(said.join('\n')).toContain('cat/link.png (a link), 1 file that is no picture (cat/notes.txt)');
  expect(said.join('\n')).toContain('Pictures by their first bytes: cat/one.');
});

test('damaged and hostile archives are refused by name, damaged pictures left out by theirs', async () => {
  const parts = await partsIn(at('folder'), names);
  const whole = zipOf(parts);
  const [first, ...rest] = parts;
  const cases: Record<string, Buffer> = {
    'cut.zip': whole.subarray(0, whole.length - 30),
    'outside.zip': zipOf([{ ...first!, name: '../../x.png' }, ...rest]),
    'twice.zip': zipOf([first!, ...parts]),
    'none.zip': zipOf([{ name: 'a.txt', bytes: Buffer.from('a') }]),
    'words.zip': Buffer.from('no archive at all'),
  };
  const said: Record<string, string> = {};
  for (const [name, bytes] of Object.entries(cases)) {
    await fs.writeFile(at(name), bytes);
    said[name] = await refusal(at(name));
  }
  expect(said).toMatchInlineSnapshot(`
{
  "cut.zip": "UserError: Expected a whole zip archive for --data but received /cut.zip, which is damaged: End of central directory record signature not found. Either not a zip file, or file is truncated. Copy or download it again.",
  "none.zip": "UserError: Expected a folder of images for --data but received /none.zip, which holds no image file (left out: 1 file that is no picture (a.txt)). Give a folder that holds JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG files, or an archive of pictures: zip, tar, parquet, MNIST idx or CIFAR binary files.",
  "outside.zip": "UserError: Expected a whole zip archive for --data but received /outside.zip, which is damaged: invalid relative path: ../../x.png. Copy or download it again.",
  "twice.zip": "UserError: Expected different names for --data but received /twice.zip, which holds cat/picture-00.png twice. A picture is known by its name: give each its own.",
  "words.zip": "UserError: Expected a whole zip archive for --data but received /words.zip, which is damaged: End of central directory record signature not found. Either not a zip file, or file is truncated. Copy or download it again.",
}
`);

  const bad = [
    { ...first!, size: 5 },
    { name: 'cat/bomb.png', bytes: Buffer.alloc(2 ** 20), size: 99 },
    { name: 'cat/other.png', bytes: Buffer.alloc(9), method: 93 },
    { name: 'cat/huge.png', bytes: Buffer.alloc(9), size: 2 ** 30 },
  ];
  await fs.writeFile(at('bad.zip'), zipOf([...bad, ...rest]));
  const { skipped } = await opened(at('bad.zip'), at('cache'));
  expect(skipped.map(({ name, reason }) => `${name}: ${reason}`)).toMatchInlineSnapshot(`
[
  "cat/bomb.png: damaged: it is not what the archive says",
  "cat/huge.png: a file of more than 256 MB",
  "cat/other.png: compressed by method 93: only deflate is read",
  "cat/picture-00.png: damaged: it is not what the archive says",
]
`);
});
