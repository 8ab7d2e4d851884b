import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { jest } from '@jest/globals';
import { transformFileSync } from '@swc/core';
import {
  clearScratch,
  settle,
  withScratch,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from '../../src/base/files.js';
import { type Owner, ourselves, tagOf } from '../../src/base/owner.js';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-files-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

test('a file is replaced, its parents are made, nothing else stays', async () => {
  const file = path.join(folder, 'a/b/c.txt');
  await writeFileAtomic(file, 'one');
  await writeFileAtomic(file, new Uint8Array([50]));
  expect(fs.readFileSync(file, 'utf8')).toBe('2');
  expect(fs.readdirSync(path.dirname(file))).toEqual(['c.txt']);
});

test('a folder is replaced as a whole', async () => {
  const target = path.join(folder, 'step');
  await writeFolderAtomic(target, async (temporary) => {
    expect(path.dirname(temporary)).toBe(folder);
    expect(path.basename(temporary)).toMatch(/^\./);
    fs.mkdirSync(path.join(temporary, 'inner'));
    fs.writeFileSync(path.join(temporary, 'inner/old'), '');
  });
  await writeFolderAtomic(target, async (temporary) => fs.writeFileSync(path.join(temporary, 'new'), ''));
  expect(fs.readdirSync(target)).toEqual(['new']);
  expect(fs.readdirSync(folder)).toEqual(['step']);
});

test('the working directory is not replaced, nor what holds it', async () => {
  const home = process.cwd();
  fs.mkdirSync(path.join(folder, 'a/b'), { recursive: true });
  fs.symlinkSync(path.join(folder, 'a'), path.join(folder, 'link'), 'junction');
  const write = async () => {};
  const refused = /^Expected a folder that can be replaced for .* but received the working directory\./;
  process.chdir(path.join(folder, 'a/b'));
  try {
    for (const place of ['.', '..', path.join(folder, 'a/b'), path.join(folder, 'link')])
      await expect(writeFolderAtomic(place, write)).rejects.toThrow(refused);
    await writeFolderAtomic('..c', write);
    await writeFolderAtomic('../d/.', write);
  } finally {
    process.chdir(home);
  }
  expect(fs.readdirSync(path.join(folder, 'a'))).toEqual(['b', 'd']);
});

test('a failed write leaves the old folder and no leftovers', async () => {
  const target = path.join(folder, 'step');
  await writeFolderAtomic(target, async (temporary) => fs.writeFileSync(path.join(temporary, 'old'), ''));
  const failing = writeFolderAtomic(target, async (temporary) => {
    fs.writeFileSync(path.join(temporary, 'new'), '');
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  expect(fs.readdirSync(target)).toEqual(['old']);
  expect(fs.readdirSync(folder)).toEqual(['step']);
});

test('a failed write leaves no folder that it made', async () => {
  const fail = async () => {
    throw new Error('disk full');
  };
  fs.mkdirSync(path.join(folder, 'there'));
  await expect(writeFolderAtomic(path.join(folder, 'there/a/b/step'), fail)).rejects.toThrow('disk full');
  expect(fs.readdirSync(folder)).toEqual(['there']);
  expect(fs.readdirSync(path.join(folder, 'there'))).toEqual([]);
});

const partialOf = (owner: Owner, name = 'step'): string =>
  path.join(folder, `.${name}.${tagOf(owner)}-0.partial`);

/** A process of this machine that has ended. */
const gone: Owner = { ...ourselves, pid: spawnSync(process.execPath, ['-e', '']).pid };

test('the next write removes what a crash left behind, and nothing that is being written, here or elsewhere', async () => {
  const leftover = partialOf(gone);
  const others = [
    partialOf({ ...ourselves, pid: process.ppid, started: '' }),
    partialOf({ ...gone, host: 'other', boot: '0123abcd' }),
    partialOf({ ...gone, space: '1' }),
    path.join(folder, `.step.${gone.pid}-0.partial`), // an older vqgen's, which does not say where
  ];
  for (const place of [leftover, ...others]) fs.mkdirSync(place);
  await writeFolderAtomic(path.join(folder, 'slow'), async (temporary) => {
    await writeFileAtomic(path.join(folder, 'file'), '');
    fs.writeFileSync(path.join(temporary, 'kept'), '');
  });
  expect(fs.existsSync(leftover)).toBe(false);
  for (const place of others) expect(fs.existsSync(place)).toBe(true);
  expect(fs.readdirSync(path.join(folder, 'slow'))).toEqual(['kept']);
});

test('a name as long as a file system takes can be written', async () => {
  const long = path.join(folder, 'ä'.repeat(127));
  await writeFileAtomic(long, 'one');
  expect(fs.readFileSync(long, 'utf8')).toBe('one');
  const place = path.join(folder, 'f'.repeat(255));
  for (const text of ['old', 'new'])
    await writeFolderAtomic(place, async (temporary) => fs.writeFileSync(path.join(temporary, text), ''));
  expect(fs.readdirSync(place)).toEqual(['new']);
});

test('a place that a link leads to is replaced; a folder that is to be new is never replaced', async () => {
  fs.mkdirSync(path.join(folder, 'real/old'), { recursive: true });
  fs.symlinkSync(path.join(folder, 'real'), path.join(folder, 'link'), 'junction');
  const write = async (temporary: string) => fs.writeFileSync(path.join(temporary, 'new'), '');
  await writeFolderAtomic(path.join(folder, 'link'), write);
  expect(fs.readdirSync(path.join(folder, 'real'))).toEqual(['new']);
  const late = writeFolderAtomic(
    path.join(folder, 'run'),
    async (temporary) => {
      await write(temporary);
      fs.mkdirSync(path.join(folder, 'run/first'), { recursive: true });
    },
    { fresh: true },
  );
  await expect(late).rejects.toThrow(
    /^Expected a new folder for .*run but received one that holds something by now/,
  );
  expect(fs.readdirSync(path.join(folder, 'run'))).toEqual(['first']);
  fs.mkdirSync(path.join(folder, 'empty'));
  await writeFolderAtomic(path.join(folder, 'empty'), write, { fresh: true });
  expect(fs.readdirSync(path.join(folder, 'empty'))).toEqual(['new']);
});

/**
 * Programs that are killed at each of their file operations, one after another, until they come through. In front of
 * each stands what was there before.
 */
describe('killed at any file operation', () => {
  const module = path.join('tests', 'support', 'kill-at.cjs');
  let built: string;
  beforeAll(() => {
    built = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-built-'));
    fs.writeFileSync(path.join(built, 'package.json'), '{"type":"module"}');
    for (const name of ['errors', 'owner', 'files']) {
      const { code } = transformFileSync(`src/base/${name}.ts`, {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      fs.writeFileSync(path.join(built, `${name}.js`), code);
    }
  });
  afterAll(() => fs.rmSync(built, { recursive: true }));

  /** @returns whether it was killed */
  function killed(program: string, operation: number): boolean {
    const text = `import fs from 'node:fs';
      import * as files from ${JSON.stringify(pathToFileURL(path.join(built, 'files.js')).href)};
      ${program}`;
    const { signal, status, stderr } = spawnSync(
      process.execPath,
      ['--require', path.resolve(module), '--input-type=module', '-e', text],
      { cwd: folder, env: { ...process.env, KILL_AT: `${operation}` }, encoding: 'utf8' },
    );
    if (signal !== 'SIGKILL') expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return signal === 'SIGKILL';
  }

  const stands = (place: string): string =>
    fs
      .readdirSync(path.join(folder, place))
      .filter((name) => !name.startsWith('.'))
      .map((name) => `${name} ${fs.readFileSync(path.join(folder, place, name), 'utf8')}`)
      .sort()
      .join();

  /** @param put what stands before. @param settled what a reader does first */
  function killAtEach(program: string, o: { place: string; before: string; after: string; put: () => void }) {
    const seen: string[] = [];
    for (let operation = 1, again = true; again; operation++) {
      o.put();
      again = killed(program, operation);
      settle(path.join(folder, o.place));
      seen.push(stands(o.place));
      expect([o.before, o.after]).toContain(seen.at(-1));
      const stopped = again;
      expect(killed(program, 0)).toBe(false); // The next writer finds its way, and clears.
      expect(stands(o.place)).toBe(o.after);
      expect(fs.readdirSync(folder)).toEqual([o.place]);
      if (!stopped) expect(seen.at(-1)).toBe(o.after);
    }
    expect(new Set(seen)).toEqual(new Set([o.before, o.after]));
    return seen.length;
  }

  test('a folder that is replaced is the old one or the new one', () => {
    const program = `await files.writeFolderAtomic('place', async (temporary) => {
      for (const name of ['a', 'c']) fs.writeFileSync(temporary + '/' + name, 'new');
    });`;
    const put = () => {
      fs.rmSync(path.join(folder, 'place'), { recursive: true, force: true });
      fs.mkdirSync(path.join(folder, 'place'));
      for (const name of ['a', 'b']) fs.writeFileSync(path.join(folder, 'place', name), 'old');
    };
    const count = killAtEach(program, { place: 'place', before: 'a old,b old', after: 'a new,c new', put });
    expect(count).toBeGreaterThan(10);
  });

  test('files that were ready come before newer ones of the same names', async () => {
    const place = path.join(folder, 'place');
    const ready = path.join(place, path.basename(partialOf(gone, 'zz')).replace(/partial$/, 'ready'));
    fs.mkdirSync(ready, { recursive: true });
    for (const name of ['train', 'test']) fs.writeFileSync(path.join(ready, name), 'older');
    await writeFilesAtomic(place, async (temporary) =>
      fs.writeFileSync(path.join(temporary, 'train'), 'new'),
    );
    expect(stands('place')).toBe('test older,train new');
    expect(fs.readdirSync(place)).toHaveLength(2);
  });

  test('several files come all or not at all', () => {
    const program = `await files.writeFilesAtomic('place', async (temporary) => {
      for (const name of ['train', 'val']) fs.writeFileSync(temporary + '/' + name, 'new');
    });`;
    const put = () => {
      fs.mkdirSync(path.join(folder, 'place'), { recursive: true });
      for (const name of ['train', 'val', 'other']) fs.writeFileSync(path.join(folder, 'place', name), 'old');
    };
    const [before, after] = ['other old,train old,val old', 'other old,train new,val new'];
    expect(killAtEach(program, { place: 'place', before, after, put })).toBeGreaterThan(8);
    expect(fs.readdirSync(path.join(folder, 'place'))).toHaveLength(3);
  });
});

test('temporary folders of processes that are gone are cleared, and no others', async () => {
  const temporary = jest.spyOn(os, 'tmpdir').mockReturnValue(folder);
  try {
    const leftover = partialOf(gone, 'vqgen-weights');
    const others = [
      partialOf({ ...ourselves, pid: process.ppid, started: '' }, 'vqgen-weights'),
      partialOf({ ...gone, space: '1' }, 'vqgen-weights'),
      partialOf(gone, 'not-ours'),
    ];
    for (const place of [leftover, ...others]) fs.mkdirSync(place);
    fs.writeFileSync(path.join(leftover, 'weights.bin'), '');
    const inside = await withScratch('weights', async (own) => {
      await clearScratch();
      expect(path.dirname(own)).toBe(folder);
      return fs.readdirSync(folder).length;
    });
    expect(inside).toBe(others.length + 1);
    expect(fs.readdirSync(folder).sort()).toEqual(others.map((place) => path.basename(place)).sort());
    await expect(withScratch('weights', async () => Promise.reject(new Error('full')))).rejects.toThrow(
      'full',
    );
    expect(fs.readdirSync(folder)).toHaveLength(others.length);
  } finally {
    temporary.mockRestore();
  }
});

test('files that fail leave those of before, and several at once nothing beside them', async () => {
  fs.writeFileSync(path.join(folder, 'train'), 'old');
  const failing = writeFilesAtomic(folder, async (temporary) => {
    fs.writeFileSync(path.join(temporary, 'train'), 'new');
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  await Promise.all(
    ['a', 'b'].map((text) =>
      writeFolderAtomic(path.join(folder, 'both'), async (at) => fs.writeFileSync(path.join(at, text), '')),
    ),
  );
  expect(fs.readFileSync(path.join(folder, 'train'), 'utf8')).toBe('old');
  expect(fs.readdirSync(folder)).toEqual(['both', 'train']);
  expect(fs.readdirSync(path.join(folder, 'both'))).toHaveLength(1);
});
