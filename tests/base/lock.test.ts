import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { transformFileSync } from '@swc/core';
import { holding } from '../../src/base/lock.js';
import { type Owner, ourselves } from '../../src/base/owner.js';
import { type Reporter, silent } from '../../src/base/progress.js';

let folder: string;
let said: string[];
const reporter: Reporter = { ...silent, note: (line) => said.push(line) };
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-lock-'));
  said = [];
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const lock = (): string => path.join(folder, 'run', '.stage1.lock');

const hold = <T>(work: () => Promise<T>, o: { takeOver?: boolean } = {}): Promise<T> => {
  const place = path.join(folder, 'run', 'stage1');
  return holding(
    { place, option: '--run', named: 'run', command: 'vqgen train-stage1', reporter, ...o },
    work,
  );
};

const ended: Owner = { ...ourselves, pid: spawnSync(process.execPath, ['-e', '']).pid };
const elsewhere: Owner = { ...ourselves, host: 'other', boot: '0123abcd', pid: 7 };

function leave(owner: Owner): void {
  fs.mkdirSync(path.join(folder, 'run'), { recursive: true });
  const text = { ...owner, command: 'vqgen train-stage1', since: '2026-01-02T03:04:05.678Z' };
  fs.writeFileSync(lock(), JSON.stringify(text));
}

test('who holds it is named, nobody else gets it, and nothing stays of it', async () => {
  const failing = hold(async () => {
    expect(JSON.parse(fs.readFileSync(lock(), 'utf8'))).toMatchObject({
      ...ourselves,
      command: 'vqgen train-stage1',
    });
    for (const takeOver of [false, true])
      await expect(hold(async () => 'never', { takeOver })).rejects.toThrow(
        new RegExp(
          `^Expected a place that no other process writes into for --run but received run, whose stage1 is held by process ${process.pid} on \\w+ \\(vqgen train-stage1, since 2\\S+Z\\)\\. Wait until it has ended, or end it\\.$`,
        ),
      );
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  expect(fs.readdirSync(folder)).toEqual([]);
  expect(await hold(async () => 'done')).toBe('done');
  expect(said).toEqual([]);
});

test('that of a process that is gone is taken over with a word', async () => {
  leave(ended);
  expect(await hold(async () => fs.readdirSync(path.join(folder, 'run')))).toEqual(['.stage1.lock']);
  expect(said).toEqual([
    expect.stringMatching(
      /^The stage1 of run was held by process \d+ on \w+ \(.*\), which is gone: it is taken over\.$/,
    ),
  ]);
  expect(fs.readdirSync(path.join(folder, 'run'))).toEqual([]);
});

test('that of another machine, or one that cannot be read, is taken over only when asked to', async () => {
  leave(elsewhere);
  const refused =
    /process 7 on other \(vqgen train-stage1, since 2026-01-02T03:04:05\.678Z\)\. Whether it is still there cannot be seen from here \(.*\.stage1\.lock\): once it has ended, type the same with --take-over\.$/;
  await expect(hold(async () => 'never')).rejects.toThrow(refused);
  expect(await hold(async () => 'done', { takeOver: true })).toBe('done');
  expect(said).toHaveLength(1);
  for (const text of ['', '{}', 'x'.repeat(5000), JSON.stringify({ ...ended, pid: 'x' })]) {
    fs.writeFileSync(lock(), text);
    await expect(hold(async () => 'never')).rejects.toThrow(
      /a process that left no readable name\. .*--take-over/,
    );
    expect(fs.readFileSync(lock(), 'utf8')).toBe(text);
  }
  await hold(async () => {}, { takeOver: true });
  expect(fs.existsSync(lock())).toBe(false);
});

test('a lock that was taken over by somebody else stays theirs', async () => {
  await hold(async () => leave(elsewhere));
  expect(fs.readFileSync(lock(), 'utf8')).toContain('"other"');
});

(process.platform === 'win32' ? test.skip : test)('a link in its place is not followed', async () => {
  fs.mkdirSync(path.join(folder, 'run'));
  fs.symlinkSync(path.join(folder, 'target'), lock());
  await expect(hold(async () => 'never')).rejects.toThrow(
    /^Expected a file for .*\.stage1\.lock but received a link/,
  );
  expect(fs.existsSync(path.join(folder, 'target'))).toBe(false);
});

test('of many processes that find a dead holder at once, one has it at a time', async () => {
  for (const name of ['errors', 'owner', 'files', 'lock']) {
    const { code } = transformFileSync(`src/base/${name}.ts`, {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
    fs.writeFileSync(path.join(folder, `${name}.js`), code);
  }
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  leave(ended);
  // Each takes it again and again, and dies with it the third time; the file `in` must never be there for two.
  const program = `import fs from 'node:fs';
    import { holding } from ${JSON.stringify(pathToFileURL(path.join(folder, 'lock.js')).href)};
    const o = { place: 'run/stage1', option: '--run', named: 'run', command: 'c', reporter: { note() {} } };
    let times = 0;
    for (;;) {
      try {
        await holding(o, async () => {
          times++;
          fs.writeFileSync('in', String(process.pid), { flag: 'wx' });
          await new Promise((resolve) => setTimeout(resolve, 1));
          fs.unlinkSync('in');
          if (times === 3) process.kill(process.pid, 'SIGKILL');
        });
      } catch (error) {
        if (error.name !== 'UserError') { console.error(error.message); process.exit(9); }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }`;
  const ends = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd: folder });
      let err = '';
      child.stderr.on('data', (text) => (err += text));
      const code = await new Promise((resolve) => child.on('close', resolve));
      return { code, err };
    }),
  );
  expect(ends.map(({ err }) => err).join('')).toBe('');
  expect(ends.map(({ code }) => code)).toEqual(ends.map(() => null)); // killed with the lock in hand
  await hold(async () => {});
  expect(fs.readdirSync(path.join(folder, 'run'))).toEqual([]);
});

test('a full disk is named, and leaves no lock that nobody holds', async () => {
  const { writeFileSync } = fs;
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  fs.writeFileSync = (...[file, , options]: Parameters<typeof writeFileSync>) => {
    writeFileSync(file, '', options);
    throw full;
  };
  try {
    await expect(hold(async () => 'never')).rejects.toMatchObject({ code: 'ENOSPC', path: lock() });
  } finally {
    fs.writeFileSync = writeFileSync;
  }
  expect(fs.readdirSync(folder)).toEqual([]);
});
