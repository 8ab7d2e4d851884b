/** `scripts/gpu-report.mjs` where there is no time for any part: both files are there, and say so. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const script = fileURLToPath(new URL('../../scripts/gpu-report.mjs', import.meta.url));
const report = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });

test('without time every part is skipped, and the report is written', async () => {
  const out = await freshFolder();
  expect(report('--out', out, '--minutes', '0.1', '--peer', 'peer.py')).toMatchObject({
    status: 0,
    stderr: '',
  });
  expect(fs.readdirSync(out).sort()).toEqual(['gpu-report.json', 'gpu-report.md']);
  const { parts } = JSON.parse(fs.readFileSync(path.join(out, 'gpu-report.json'), 'utf8'));
  expect(parts).toContainEqual(expect.objectContaining({ name: 'agreement tiny', status: 'skipped' }));
  expect(parts).toContainEqual(expect.objectContaining({ name: 'sample peer bf16', status: 'skipped' }));
  expect(fs.readFileSync(path.join(out, 'gpu-report.md'), 'utf8')).toMatch(/^\| stage1-gan \| – /m);
});

test.each([
  [['--minutes', 'x'], 'Expected a positive number for --minutes but received x.\n'],
  [['--minuts', '3'], /^Unknown option '--minuts'/],
])('%j', (args, words) => {
  const { status, stderr } = report(...args);
  expect(status).toBe(2);
  expect(stderr).toEqual(typeof words === 'string' ? words : expect.stringMatching(words));
});
