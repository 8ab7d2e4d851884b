import fs from 'node:fs/promises';
import path from 'node:path';
import { readLedger } from '../../src/museum/ledger.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { playMuseum } from '../support/museum.js';

afterAll(removeFolders);

const freshOut = async () => path.join(await freshFolder(), 'museum');

test('a museum ends within its time, and every network had the same share', async () => {
  const { summary, works, given, seconds, said } = await playMuseum(await freshOut(), { budget: 600 });
  expect(summary).toMatchObject({ stopped: false, seconds: seconds() });
  expect(summary.rooms).toHaveLength(10);
  expect(works.slice(0, 3)).toEqual(['ae/tokenizer', 'ae/exhibit', 'dae/tokenizer']);
  expect(works.slice(-3)).toEqual(['maskgit/prior', 'maskgit/exhibit', 'maskgit-revised/exhibit']);
  expect(seconds()).toBeGreaterThan(590);
  expect(seconds()).toBeLessThanOrEqual(600);
  // The works between them turn out shorter than was guessed, so that shares grow, most at first.
  expect(given['maskgit/prior']! / 2 / given['vqgan/prior']!).toBeCloseTo(1, 2);
  expect(said.find((line) => line.includes('VQ-VAE: its prior'))).toMatch(
    /^Room 6 of 10, VQ-VAE: its prior, \d+ s\. \d min \d\d s left in all\.$/,
  );
});

test('trainings that take longer than they should take the others’ time, not more', async () => {
  const slow = await playMuseum(await freshOut(), { budget: 600, took: (given) => 1.5 * given || 1 });
  expect(slow.seconds()).toBeGreaterThan(590);
  expect(slow.seconds()).toBeLessThan(610);
});

test('one that was stopped goes on where it was, and a finished one makes its page anew', async () => {
  const out = await freshOut();
  const first = await playMuseum(out, { budget: 600, seed: 3, stopAt: 'vae/tokenizer' });
  expect(first.summary.stopped).toBe(true);
  await expect(fs.access(path.join(out, 'index.html'))).rejects.toThrow();
  const second = await playMuseum(out);
  expect(second.works[0]).toBe('vae/tokenizer');
  expect(second.given['vae/tokenizer']).toBe(first.given['vae/tokenizer']);
  expect(second.summary).toMatchObject({ stopped: false, seconds: first.seconds() + second.seconds() });
  expect(second.summary.seconds).toBeLessThan(606);
  expect(readLedger(out)).toMatchObject({ sittings: 2, budget: 600, seed: 3, data: null });

  await fs.rm(path.join(out, 'index.html'));
  const third = await playMuseum(out, { budget: 600 });
  expect([third.opened, third.works.length]).toEqual([0, 0]);
  expect(await fs.readFile(path.join(out, 'index.html'), 'utf8')).toContain('in 2 sittings');
});

test('another museum than was begun, and a folder of something else, are refused', async () => {
  const out = await freshOut();
  await playMuseum(out, { data: 'photos', budget: 600, stopAt: 'ae/tokenizer' });
  const again = (o: object) => playMuseum(out, o);
  await expect(again({ data: 'other' })).rejects.toThrow(
    /^Expected \S+photos for --data but received other\. \S+ is a museum that was begun with it: leave --data out, or name another --out\.$/,
  );
  await expect(again({ budget: 660 })).rejects.toThrow('Expected 10m for --budget but received 11m.');
  await expect(again({ seed: 1 })).rejects.toThrow('Expected 0 for --seed but received 1.');
  await expect(playMuseum(await freshOut(), { budget: 299 })).rejects.toThrow(
    'Expected at least 5m for --budget but received 299s.',
  );

  const other = await freshFolder();
  await fs.writeFile(path.join(other, 'cat.png'), '');
  await expect(playMuseum(other)).rejects.toThrow(
    `Expected a folder that is new or holds a museum for --out but received ${other}, which holds cat.png.`,
  );
  await fs.writeFile(path.join(out, 'vqgen.json'), '{"vqgen":"0.1.0","run":"fruits-64"}');
  await expect(again({})).rejects.toThrow(/whose vqgen\.json is not what this vqgen writes there/);
});
