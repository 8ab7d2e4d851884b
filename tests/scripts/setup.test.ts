/** `scripts/setup.mjs` in a clone of its own, with an npm that only says that it was called. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const script = fileURLToPath(new URL('../../scripts/setup.mjs', import.meta.url));

/** A clone whose lock file is newer than what is installed, and what setup says there. */
async function setUp(o: { linked: boolean }) {
  const root = await freshFolder();
  const file = (name: string, text = '', mode?: number) => {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text, { mode });
  };
  file('scripts/setup.mjs', fs.readFileSync(script, 'utf8'));
  file('src/main.ts');
  file(o.linked ? 'elsewhere/.package-lock.json' : 'node_modules/.package-lock.json');
  if (o.linked) fs.symlinkSync(path.join(root, 'elsewhere'), path.join(root, 'node_modules'), 'junction');
  fs.utimesSync(path.join(root, 'node_modules/.package-lock.json'), 1, 1);
  for (const name of ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'dist/.built']) file(name);
  file('bin/npm', '#!/bin/sh\necho "npm $*"\n', 0o755);
  const env = { ...process.env, PATH: `${path.join(root, 'bin')}${path.delimiter}${process.env.PATH}` };
  return spawnSync(process.execPath, [path.join(root, 'scripts/setup.mjs')], { env, encoding: 'utf8' });
}

const onPosix = process.platform === 'win32' ? test.skip : test;

onPosix('installs where the lock file is newer', async () => {
  const { status, stderr } = await setUp({ linked: false });
  expect({ status, stderr }).toEqual({ status: 0, stderr: 'npm ci\n' });
});

onPosix('leaves a linked node_modules alone, and says so', async () => {
  const { status, stderr } = await setUp({ linked: true });
  expect(status).toBe(0);
  expect(stderr).toMatch(/^node_modules is a link, and older than package-lock\.json: left as it is\. /);
  expect(stderr).not.toContain('npm ci\n');
});
