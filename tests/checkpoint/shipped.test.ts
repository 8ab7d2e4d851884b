import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { exportFolder, noSuchRun, runPaths } from '../../src/checkpoint/run.js';
import { markOutputs, ownRun, runAt, shippedName, shippedNames } from '../../src/checkpoint/shipped.js';
import { main } from '../../src/cli/main.js';
import { markName } from '../../src/data/own-folders.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const [name] = shippedNames as [string];

test('a run that comes with vqgen is found by its name, from any folder', async () => {
  const before = process.cwd();
  process.chdir(await freshFolder());
  try {
    const run = runAt(name);
    expect(existsSync(path.join(run, 'config.json'))).toBe(true);
    expect(shippedName(run)).toBe(name);
    // Its pictures go into the working folder.
    expect(runPaths(run).samples).toBe(path.join('samples', name));
    expect(exportFolder(run, 'onnx')).toBe(path.join('exports', name, 'onnx'));
    expect(runAt('no-such-run')).toBe('no-such-run');
    // What was made of it is marked, and only what was made.
    await fs.mkdir(path.join('samples', name), { recursive: true });
    await markOutputs(run);
    expect(JSON.parse(await fs.readFile(path.join('samples', name, markName), 'utf8'))).toMatchObject({
      run: name,
    });
    expect(existsSync('exports')).toBe(false);
    // A run that stands here comes first, another folder does not.
    await fs.mkdir(name);
    expect(runAt(name)).toBe(run);
    await fs.writeFile(path.join(name, 'config.json'), '{}');
    expect(runAt(name)).toBe(name);
    expect(ownRun(name)).toBe(name);
    expect(runPaths(name).samples).toBe(path.join(name, 'samples'));
  } finally {
    process.chdir(before);
  }
});

test('nothing is written into it', () => {
  const run = runAt(name);
  expect(() => ownRun(run)).toThrow(
    `Expected a run of your own for --run but received ${run}. ${name} comes with vqgen: copy it, and name the copy.`,
  );
});

test('what is trained is the user’s own: the error names the copy to make', () => {
  expect(noSuchRun(name).message).toMatch(
    `for --run but received ${name}, which does not exist. It comes with vqgen, to be sampled, measured and exported; to train on, copy it: ${runAt(name)}`,
  );
});

test('a mistyped name is told', () => {
  const mistyped = name.slice(0, -1);
  expect(noSuchRun(mistyped).message).toContain(
    `received ${mistyped}, which does not exist. Did you mean ${name}, which comes with vqgen? Train a tokenizer`,
  );
});

test('vqgen info takes the folder of such a run, too', async () => {
  const out: string[] = [];
  const stdout = new Writable({
    write: (chunk, _, done) => {
      out.push(String(chunk));
      done();
    },
  });
  expect(await main(['info', '--run', runAt(name)], { stdout, stderr: stdout })).toBe(0);
  expect(out.join('')).toContain('tokenizer');
});
