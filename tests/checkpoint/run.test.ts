import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { readRunConfig, writeRunConfig } from '../../src/checkpoint/run.js';
import { parseConfig } from '../../src/config/layers.js';
import { configSchema } from '../../src/config/schema.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { mutatedJson } from '../support/mutate.js';

afterAll(removeFolders);

const kinds = [
  {},
  { stage1: { bottleneck: { kind: 'fsq', levels: [8, 6, 5] }, codes: null } },
  { stage1: { bottleneck: { kind: 'hierarchy', levels: [{ kind: 'ema' }, { kind: 'nearest' }] } } },
  { prior: { kind: 'maskgit', condition: { kind: 'edges' } } },
  { stage1: { bottleneck: { kind: 'gaussian' } }, prior: { kind: 'pixelcnn' } },
];

test('400 mutations of config.json give a config or one sentence, and never another error', async () => {
  const run = await freshFolder();
  const file = path.join(run, 'config.json');
  let refused = 0;
  for (const [i, kind] of kinds.entries()) {
    await writeRunConfig(run, parseConfig(kind, 'test'));
    const saved = await fs.readFile(file, 'utf8');
    for (let seed = 0; seed < 80; seed++) {
      await fs.writeFile(file, mutatedJson(saved, 1000 * i + seed));
      try {
        expect(configSchema.safeParse(readRunConfig(run)).success).toBe(true);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.message.length).toBeLessThan(4000);
        refused++;
      }
    }
  }
  expect(refused).toBeGreaterThan(100);
});

test.each([
  'null',
  '[]',
  '7',
  '"x"',
  '{"data":7}',
  '{"stage1":null}',
  '{"prior":[]}',
  '{"sample":"x"}',
  '{"data":{"dir":7}}',
  '{"prior":{"condition":{"maps":{}}}}',
])('config.json that is %s is refused in a sentence that names it', async (text) => {
  const run = await freshFolder();
  const file = path.join(run, 'config.json');
  await fs.writeFile(file, text);
  expect(() => readRunConfig(run)).toThrow(UserError);
  expect(() => readRunConfig(run)).toThrow(file);
});

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix('a pipe in the place of config.json is not waited for', async () => {
  const run = await freshFolder();
  execFileSync('mkfifo', [path.join(run, 'config.json')]);
  expect(() => readRunConfig(run)).toThrow(
    /^Expected the JSON that vqgen saved for .* but received a pipe\./,
  );
});
