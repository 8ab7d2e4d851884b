import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

test('a fresh clone is told to set itself up', async () => {
  const clone = await freshFolder();
  fs.cpSync('bin', path.join(clone, 'bin'), { recursive: true });
  fs.copyFileSync('package.json', path.join(clone, 'package.json'));
  const file = path.join(clone, 'bin', 'vqgen.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, '--help'], { encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({
    status: 2,
    stdout: '',
    stderr: 'Expected the built program for dist/ but received sources only. Run npm run setup once.\n',
  });
});
