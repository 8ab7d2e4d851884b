import fs from 'node:fs/promises';
import { editConfig, inFolder, pixelsOf, saveRun } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';

const { argv } = process;
afterAll(async () => {
  process.argv = argv;
  await removeFolders();
});

test('the example draws, goes on from a half, and walks', async () => {
  const at = inFolder(await freshFolder());
  await saveRun(at('run'), editConfig(16));
  process.argv = ['node', 'draw.ts', at('run'), at('drawn')];
  await import('../../examples/draw.js');
  expect((await fs.readdir(at('drawn'))).sort()).toEqual([
    ...['between-0.png', 'between-1.png', 'between-2.png', 'between-3.png', 'between-4.png'],
    ...['otherwise-0.png', 'otherwise-1.png'],
    ...['picture-0.png', 'picture-1.png', 'picture-2.png', 'picture-3.png'],
  ]);
  const [first, second, otherwise] = await Promise.all(
    ['picture-0.png', 'picture-1.png', 'otherwise-0.png'].map((name) => pixelsOf(at(`drawn/${name}`))),
  );
  const upper = (pixels: Buffer) => pixels.subarray(0, 4 * 3 * 16);
  expect(upper(otherwise!)).toEqual(upper(first!));
  expect(upper(second!)).not.toEqual(upper(first!));
  expect(otherwise).not.toEqual(first);
});
