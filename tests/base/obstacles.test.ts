import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  checkNoLinks,
  isSame,
  isWithin,
  obstacleAt,
  obstacleIn,
  writeProtected,
} from '../../src/base/obstacles.js';

let folder: string;
const inFolder = (...parts: string[]): string => path.join(folder, ...parts);
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-obstacles-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

// Neither root nor Windows is kept from writing.
(process.getuid?.() ? test : test.skip)(
  'a folder that may not be written to is found above a missing one',
  () => {
    expect(writeProtected(inFolder('a/b'))).toBeUndefined();
    fs.chmodSync(folder, 0o555);
    expect(writeProtected(inFolder('a/b'))).toBe(folder);
  },
);

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix('a file goes into a folder: not into a device, a pipe, a folder or what all programs use', () => {
  spawnSync('mkfifo', [inFolder('pipe')]);
  fs.mkdirSync(inFolder('inner'));
  fs.writeFileSync(inFolder('there.png'), '');
  fs.symlinkSync(inFolder('nowhere'), inFolder('dangling'));
  fs.symlinkSync('/dev/null', inFolder('null.png'));
  expect(obstacleAt(inFolder('new/grid.png'))).toBeUndefined();
  expect(obstacleAt(inFolder('there.png'))).toBeUndefined();
  expect(obstacleAt(inFolder('pipe'))).toBe('which is a pipe');
  expect(obstacleAt(inFolder('inner'))).toBe('which is a folder');
  expect(obstacleAt(inFolder('new/'))).toBe('which is a folder');
  for (const place of ['/dev/null', '/dev/zero', inFolder('null.png')])
    expect(obstacleAt(place)).toBe('which is a device');
  expect(obstacleAt('/dev/stdout')).toMatch(/which is|the system's own/);
  expect(obstacleAt('/dev/fd/new.png')).toMatch(/where \/(dev|proc) is the system's own/);
  expect(obstacleAt(inFolder('dangling/grid.png'))).toBe(
    `where ${inFolder('dangling')} is a link to nothing`,
  );
  expect(obstacleIn(inFolder('there.png/a'))).toBe(`where ${inFolder('there.png')} is a file`);
});

onUnix('a link in a run, at any depth, is named with its target, and what is no file', () => {
  const run = inFolder('run');
  const parts = ['config.json', 'stage1', 'samples'];
  fs.mkdirSync(path.join(run, 'stage1/step-00000001'), { recursive: true });
  fs.writeFileSync(path.join(run, 'config.json'), '{}');
  fs.symlinkSync(run, inFolder('again')); // as a user names it
  fs.symlinkSync('/etc', path.join(run, 'own')); // nothing is written there
  checkNoLinks(inFolder('again'), parts);
  const refused = (place: string) => {
    const at = path.join(run, place);
    fs.rmSync(at, { recursive: true, force: true });
    fs.symlinkSync('/nowhere/else', at);
    expect(() => checkNoLinks(run, parts)).toThrow(
      `Expected a folder without links where it is written for --run but received ${run}, where ${at} is a link to /nowhere/else.`,
    );
    fs.unlinkSync(at);
  };
  for (const place of ['stage1/step-00000001/state.json', 'stage1/.step-1.removed', 'stage1/metrics.jsonl'])
    refused(place);
  for (const place of ['samples', 'config.json', 'stage1']) refused(place);
  fs.mkdirSync(path.join(run, 'stage1'));
  spawnSync('mkfifo', [path.join(run, 'stage1/metrics.jsonl')]);
  expect(() => checkNoLinks(run, parts)).toThrow(/metrics\.jsonl is a pipe\. /);
});

onUnix('the same by another name, and what lies in it', () => {
  fs.mkdirSync(inFolder('a/b'), { recursive: true });
  fs.writeFileSync(inFolder('a/file'), '');
  fs.linkSync(inFolder('a/file'), inFolder('hard'));
  fs.symlinkSync(inFolder('a'), inFolder('soft'));
  expect(isSame(inFolder('hard'), inFolder('soft/file'))).toBe(true);
  expect(isSame(inFolder('hard'), inFolder('a'))).toBe(false);
  expect(isSame(inFolder('none'), inFolder('none'))).toBe(false);
  expect(isWithin(inFolder('soft/b/new/c.png'), inFolder('a'))).toBe(true);
  expect(isWithin(inFolder('a'), inFolder('soft'))).toBe(true);
  expect(isWithin(inFolder('ab'), inFolder('a'))).toBe(false);
  expect(isWithin(inFolder('a'), inFolder('none'))).toBe(false);
  expect(isWithin(inFolder('soft/none/b'), inFolder('a/none'))).toBe(true);
  expect(isWithin(inFolder('..a'), folder)).toBe(true);
});
