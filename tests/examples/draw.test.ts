import fs from 'node:fs/promises';
import { silent } from '../../src/base/progress.js';
import { openDevice } from '../../src/engine/index.js';
import { like, readGiven } from '../../src/sample/like.js';
import { editConfig, inFolder, saveRun } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';

const { argv } = process;
afterAll(async () => {
  process.argv = argv;
  await removeFolders();
});

test('the example draws, goes on and walks; vqgen sample --like draws its pictures again', async () => {
  const at = inFolder(await freshFolder());
  await saveRun(at('run'), editConfig(16));
  process.argv = ['node', 'draw.ts', at('run'), at('drawn')];
  await import('../../examples/draw.js');
  expect((await fs.readdir(at('drawn'))).sort()).toEqual([
    ...['between-0.png', 'between-1.png', 'between-2.png', 'between-3.png', 'between-4.png'],
    ...['otherwise-0.png', 'otherwise-1.png'],
    ...['picture-0.png', 'picture-1.png', 'picture-2.png', 'picture-3.png'],
  ]);
  const device = await openDevice({ device: 'cpu', reporter: silent });
  const given = await readGiven(at('drawn/picture-3.png'));
  const out = at('again.png');
  expect(await like({ given, run: at('run'), out, device, reporter: silent })).toMatchObject({ same: true });
});
