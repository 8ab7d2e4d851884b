/** Damaged checkpoints: seen, named, passed over by who reads and set aside by who goes on. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { hiddenName } from '../../src/base/files.js';
import { float32, type HostTensors } from '../../src/base/tensor.js';
import { resumable, setAside, soundCheckpoint } from '../../src/checkpoint/integrity.js';
import { type Best, listCheckpoints, loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { mutatedBytes } from '../support/mutate.js';

afterAll(removeFolders);

const tensors = (step: number): HostTensors => ({
  'model.w': float32([8], new Array(8).fill(step)),
  'adam.m.w': float32([8], new Array(8).fill(-step)),
});

async function runOf(steps: readonly number[], best: Best | null = null): Promise<string> {
  const run = await freshFolder();
  for (const step of steps) {
    const state = {
      step,
      seconds: 1,
      validated: 0,
      best: best && best.step <= step ? best : null,
      metrics: null,
    };
    await saveCheckpoint(path.join(run, 'stage1'), tensors(step), state, 9);
  }
  return run;
}

const fileOf = (run: string, step: number, name: string): string =>
  path.join(run, 'stage1', `step-${`${step}`.padStart(8, '0')}`, name);

const names = ['model.safetensors', 'optimizer.safetensors', 'state.json'] as const;

async function flip(file: string, at = -3): Promise<void> {
  const bytes = await fs.readFile(file);
  bytes[(at + bytes.length) % bytes.length]! ^= 4;
  await fs.writeFile(file, bytes);
}

/** What can happen to a file of step 20, and what is said of it. */
const damages: [string, (file: string) => Promise<void>, RegExp][] = [
  ['a flipped bit', (file) => flip(file), /other bytes than were saved|checksum does not fit|no JSON/],
  ['cut short', (file) => fs.truncate(file, 40), /40 bytes of the|no JSON|checksum does not fit/],
  ['missing', (file) => fs.rm(file), /nothing: it is missing/],
  ['empty', (file) => fs.truncate(file, 0), /0 bytes of the|no JSON/],
  [
    'of another step',
    (file) => fs.copyFile(file.replace('step-00000020', 'step-00000010'), file),
    /other bytes than were saved|that of step 10/,
  ],
];

describe.each(names)('%s', (name) => {
  test.each(damages)('%s: named and set aside, and the one before is used', async (_, damage, said) => {
    const run = await runOf([10, 20]);
    const stage = path.join(run, 'stage1');
    const file = fileOf(run, 20, name);
    await damage(file);
    const found = await resumable(stage, '');
    expect(found.sound?.checkpoint.step).toBe(10);
    expect(found.damaged).toMatchObject([{ file, received: expect.stringMatching(said) }]);
    expect(await fs.readdir(stage)).toContain('step-00000020'); // Looking changes nothing.

    const warnings: string[] = [];
    await setAside(stage, found, { warn: (line) => warnings.push(line) });
    expect(warnings).toEqual([expect.stringContaining(`${file} is damaged (`)]);
    expect((await fs.readdir(stage)).sort()).toEqual(['damaged-step-00000020', 'latest', 'step-00000010']);
    expect(await fs.readFile(path.join(stage, 'latest'), 'utf8')).toBe('step-00000010\n');
    expect(listCheckpoints(stage).map(({ step }) => step)).toEqual([10]);
  });

  test.each(damages)(
    '%s, and no other checkpoint: one sentence, and nothing is moved',
    async (kind, damage) => {
      if (kind === 'of another step') return;
      const run = await runOf([20]);
      const stage = path.join(run, 'stage1');
      await damage(fileOf(run, 20, name));
      const message = `Expected the file that was saved for ${fileOf(run, 20, name)} but received `;
      await expect(resumable(stage, 'Do that.')).rejects.toThrow(message);
      await expect(resumable(stage, 'Do that.')).rejects.toThrow(/ Do that\.$/);
      expect((await fs.readdir(stage)).sort()).toEqual(['latest', 'step-00000020']);
    },
  );
});

test('a reader goes by the model and the state alone; that a training could not go on is said', async () => {
  const run = await runOf([10, 20]);
  const warnings: string[] = [];
  const reporter = { warn: (line: string) => warnings.push(line) };
  await flip(fileOf(run, 20, 'optimizer.safetensors'));
  expect((await loadModel(run, 'stage1', { reporter })).step).toBe(20);
  expect(warnings).toEqual([]); // It is not read.
  await fs.rm(fileOf(run, 20, 'optimizer.safetensors'));
  expect((await loadModel(run, 'stage1', { reporter })).step).toBe(20);
  expect(warnings).toEqual([
    expect.stringMatching(/optimizer\.safetensors is damaged .*training cannot go on/),
  ]);

  await flip(fileOf(run, 20, 'model.safetensors'));
  const model = await loadModel(run, 'stage1', { reporter });
  expect(model).toMatchObject({ step: 10, damaged: [{ file: fileOf(run, 20, 'model.safetensors') }] });
  expect(warnings[1]).toMatch(
    /model\.safetensors is damaged .*: the checkpoint of step 10 is used in its place\./,
  );
  await expect(loadModel(run, 'stage1')).rejects.toThrow(/model\.safetensors but received other bytes/);
  expect((await fs.readdir(path.join(run, 'stage1'))).sort()).toEqual([
    'latest',
    'step-00000010',
    'step-00000020',
  ]);
});

test('where the best is damaged, the newest is used; a training sets it aside', async () => {
  const run = await runOf([10, 20, 30], { step: 10, value: 1 });
  const stage = path.join(run, 'stage1');
  expect((await soundCheckpoint(stage, { best: true })).sound?.checkpoint.step).toBe(10);
  await flip(fileOf(run, 10, 'model.safetensors'));
  const found = await soundCheckpoint(stage, { best: true });
  expect(found).toMatchObject({
    sound: { checkpoint: { step: 30 } },
    damaged: [{ checkpoint: { step: 10 } }],
  });
  const { sound, damaged } = await resumable(stage, '');
  expect([sound?.checkpoint.step, damaged.map(({ checkpoint }) => checkpoint.step)]).toEqual([30, [10]]);
});

test('where the newest state, which says what is best, is damaged, that is said', async () => {
  const run = await runOf([10, 20, 30], { step: 20, value: 1 });
  await fs.rm(fileOf(run, 30, 'state.json'));
  expect(await soundCheckpoint(path.join(run, 'stage1'), { best: true })).toMatchObject({
    sound: { checkpoint: { step: 20 } },
    damaged: [{ checkpoint: { step: 30 } }],
  });
});

test('two that are damaged, and a name that is taken', async () => {
  const run = await runOf([10, 20, 30]);
  const stage = path.join(run, 'stage1');
  await fs.mkdir(path.join(stage, 'damaged-step-00000030'));
  await flip(fileOf(run, 30, 'state.json'));
  await flip(fileOf(run, 20, 'optimizer.safetensors'));
  await setAside(stage, await resumable(stage, ''), { warn: () => {} });
  expect((await fs.readdir(stage)).sort()).toEqual([
    ...['damaged-step-00000020', 'damaged-step-00000030', 'damaged-step-00000030-2'],
    ...['latest', 'step-00000010'],
  ]);
});

test('a kill before latest was written, or old checkpoints were gone, leaves nothing behind', async () => {
  const run = await runOf([10, 20]);
  const stage = path.join(run, 'stage1');
  await fs.writeFile(path.join(stage, 'latest'), 'step-00000010\n');
  const leaving = hiddenName(path.join(stage, 'step-00000005'));
  await fs.mkdir(leaving);
  await setAside(stage, await resumable(stage, ''), { warn: () => {} });
  expect(await fs.readFile(path.join(stage, 'latest'), 'utf8')).toBe('step-00000020\n');
  expect((await fs.readdir(stage)).sort()).toEqual(['latest', 'step-00000010', 'step-00000020']);
});

test('checkpoints without checksums are used as they are, if they can be read at all', async () => {
  const run = await runOf([10, 20]);
  for (const step of [10, 20]) {
    const state = { step, seconds: 1, validated: 0, best: null, metrics: null };
    await fs.writeFile(fileOf(run, step, 'state.json'), JSON.stringify(state));
  }
  expect(await soundCheckpoint(path.join(run, 'stage1'), { whole: true })).toMatchObject({
    sound: { checkpoint: { step: 20 }, checked: false },
    damaged: [],
  });
  await fs.truncate(fileOf(run, 20, 'model.safetensors'), 60);
  expect((await soundCheckpoint(path.join(run, 'stage1'))).sound?.checkpoint.step).toBe(10);
  await fs.rm(path.join(run, 'stage1', 'step-00000010'), { recursive: true });
  await expect(loadModel(run, 'stage1')).rejects.toThrow(/It may be cut short/);
});

test('no damage of 120 goes unseen', async () => {
  const run = await runOf([10, 20]);
  const stage = path.join(run, 'stage1');
  for (let seed = 0; seed < 120; seed++) {
    const file = fileOf(run, 20, names[seed % 3]!);
    const before = await fs.readFile(file);
    const after = mutatedBytes(before, seed);
    if (Buffer.from(after).equals(before)) continue;
    await fs.writeFile(file, after);
    expect((await resumable(stage, '')).sound?.checkpoint.step).toBe(10);
    await fs.writeFile(file, before);
  }
  expect((await resumable(stage, '')).sound?.checkpoint.step).toBe(20);
});
