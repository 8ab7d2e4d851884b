import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

test('a fresh clone is told to set itself up', async () => {
  const file = path.join(await freshFolder(), 'bin', 'vqgen.mjs');
  fs.mkdirSync(path.dirname(file));
  fs.copyFileSync('bin/vqgen.js', file);
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, '--help'], { encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({
    status: 2,
    stdout: '',
    stderr: 'Expected the built program for dist/ but received sources only. Run npm run setup once.\n',
  });
});
