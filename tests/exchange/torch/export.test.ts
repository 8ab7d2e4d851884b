/** A run as a PyTorch project and back is the run, to the bit; what a project cannot hold is said. */
import fs from 'node:fs';
import path from 'node:path';
import { readRunConfig, runPaths, tokenFile } from '../../../src/checkpoint/run.js';
import { readSafetensors } from '../../../src/checkpoint/safetensors.js';
import { latestCheckpoint, loadCheckpoint, readState } from '../../../src/checkpoint/store.js';
import { exportRun } from '../../../src/cli/export.js';
import { importWords } from '../../../src/cli/import.js';
import { specsOfTensors } from '../../../src/engine/device.js';
import { gridsOf } from '../../../src/stage1-vqgan/model.js';
import { priorFor } from '../../../src/stage2-transformer/model.js';
import { priorStart } from '../../../src/stage2-transformer/step.js';
import { openTokenWriter } from '../../../src/tokenize/token-file.js';
import { quiet, temporaryFolder } from '../fixtures.js';
import { numbersRun } from '../numbers-run.js';
import { trainedRun } from '../trained-run.js';

const folder = temporaryFolder('torch');

const project = (run: string, out: string, flags: object = {}) =>
  exportRun({ to: 'torch', out, ...flags }, { run, reporter: quiet });
const back = (words: readonly string[], flags: object) => importWords(words, flags, quiet);

const gan = { disc: { weight: 0.4, ch: 4, layers: 1 }, ema: 0.9 };

/** Files of a folder, in all depths, and what they hold. */
function filesOf(root: string): Record<string, string> {
  const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const places = entries.map(({ parentPath, name }) => path.join(parentPath, name));
  return Object.fromEntries(
    places.sort().map((place) => [path.relative(root, place), fs.readFileSync(place, 'latin1')]),
  );
}

async function writeTokens(run: string): Promise<void> {
  const grids = gridsOf(readRunConfig(run));
  const { sha256 } = JSON.parse(fs.readFileSync(path.join(runPaths(run).prior, 'tokenizer.json'), 'utf8'));
  for (const split of ['train', 'val']) {
    fs.mkdirSync(runPaths(run).tokens, { recursive: true });
    const writer = await openTokenWriter(tokenFile(run, split), grids);
    const data = Int32Array.from({ length: 6 * 4 }, (_, i) => (7 * i) % 16);
    await writer.append({ codes: { dtype: 'int32', shape: [6, 2, 2], data } });
    const names = ['a/0', 'a/1', 'a/2', 'b/0', 'b/1', 'b/2'];
    const info = { tokenizer: sha256, size: 8, names, classes: ['a', 'b'] };
    await writer.finish(info, Int32Array.from([0, 0, 0, 1, 1, 1]));
  }
}

test('there and back', async () => {
  const { run } = await trainedRun(folder(), 'gan', { stage1: gan, classes: ['a', 'b'] });
  await writeTokens(run);
  fs.writeFileSync(
    path.join(runPaths(run).stage1, 'metrics.jsonl'),
    '{"step":1,"split":"train","time_s":1}\n',
  );
  const out = folder();
  const { summary, lines } = await project(run, out);
  expect(summary).toMatchObject({ to: 'torch', out, steps: { stage1: 1, prior: 3 } });
  expect(lines.join('\n')).toContain('stage1 at step 1, prior at step 3');
  const written = fs.readdirSync(out);
  const sources = fs.readdirSync('pytorch').filter((name) => name.endsWith('.py'));
  expect(written).toEqual(expect.arrayContaining([...sources, 'README.md', 'perceptual.safetensors']));
  const fixed = await readSafetensors(path.join(out, 'perceptual.safetensors'));
  expect(fixed.metadata).toEqual({ pooling: 'smooth' }); // else the loss there would be another
  expect(fs.readFileSync(path.join(out, 'README.md'), 'utf8')).toContain('train.py stage1 --data PHOTOS/');

  const again = folder();
  const told = await back([out], { run: again });
  expect(told.summary).toEqual({ run: again, kind: 'torch', steps: { stage1: 1, prior: 3 } });
  expect(filesOf(again)).toEqual(filesOf(run));
});

test('a prior that has not begun begins as it would here', async () => {
  const { run, config } = await trainedRun(folder(), 'begins', { classes: ['a', 'b'] });
  await writeTokens(run);
  fs.rmSync(runPaths(run).prior, { recursive: true });
  const out = folder();
  expect((await project(run, out)).summary).toMatchObject({ steps: { stage1: 1, prior: 0 } });
  const begun = latestCheckpoint(runPaths(out).prior)!;
  const expected = priorStart(priorFor(config, ['a', 'b']), config.seed);
  expect(await loadCheckpoint(begun, specsOfTensors(expected))).toEqual(expected);
  const again = folder();
  expect((await back([out], { run: again })).summary).toMatchObject({ steps: { stage1: 1 } });
  expect(fs.existsSync(runPaths(again).prior)).toBe(false);
});

test('what was trained there goes along, optimiser and best checkpoint too', async () => {
  const { run, config } = await trainedRun(folder(), 'on', {});
  const out = folder();
  await project(run, out);
  // Without tokens the command for the prior is one that works.
  expect(fs.readFileSync(path.join(out, 'README.md'), 'utf8')).toContain('train.py prior --tokens TOKENS/');
  const { saveCheckpoint } = await import('../../../src/checkpoint/store.js');
  const tensors = priorStart(priorFor(config), 5);
  tensors['adam.v.norm.gamma']!.data[0] = 0.5;
  const best = { step: 3, value: 2 };
  await saveCheckpoint(
    runPaths(out).prior,
    tensors,
    { step: 4, seconds: 9, validated: 4, best, metrics: null },
    2,
  );
  const again = folder();
  await back([out], { run: again, data: ['/photos'] });
  expect(readRunConfig(again).data.dir).toBe('/photos');
  const taken = latestCheckpoint(runPaths(again).prior)!;
  expect(await loadCheckpoint(taken, specsOfTensors(tensors))).toEqual(tensors);
  expect(readState(taken)).toMatchObject({ step: 4, best });
  expect(fs.existsSync(path.join(runPaths(again).prior, 'step-00000003'))).toBe(true);
});

test('mistakes, and what a project has not', async () => {
  const { run } = await trainedRun(folder(), 'plain', {});
  const out = folder();
  await project(run, out);
  await expect(project(run, out)).rejects.toThrow(
    `Expected a new folder for --out but received ${out}, which exists. What was trained there would be lost: `,
  );
  await expect(project(run, path.join(run, 'stage1', 'torch'))).rejects.toThrow(
    /Expected a folder of its own for --out/,
  );
  await expect(project(run, folder(), { precision: 'f16' })).rejects.toThrow(
    'Expected f32 for --precision with --to torch but received f16. Training goes on from it.',
  );
  await expect(back([out], { run })).rejects.toThrow(/Expected a new folder for --run .* which exists/);
  await expect(back([out, 'more'], { run: folder() })).rejects.toThrow(/Expected nothing for CHECKPOINT/);
  await expect(back([out], { run: folder(), set: ['prior.heads=1'] })).rejects.toThrow(
    `Expected nothing for --set with ${out} but received prior.heads=1. It holds the config of its run.`,
  );

  const place = path.join(latestCheckpoint(runPaths(out).stage1)!.path, 'optimizer.safetensors');
  const bytes = fs.readFileSync(place);
  bytes[bytes.length - 1]! ^= 1;
  fs.writeFileSync(place, bytes);
  const never = folder();
  await expect(back([out], { run: never })).rejects.toThrow(
    /Expected the file that was saved for .*optimizer/,
  );
  expect(fs.existsSync(never)).toBe(false);

  const vae = await numbersRun(folder(), 'vae');
  await expect(project(vae.run, never)).rejects.toThrow(
    /Expected a tokenizer with a bottleneck of nearest, ema, cosine, fsq, lfq for --run but received .* is gaussian/,
  );
  expect(fs.existsSync(never)).toBe(false);
});

test('without a prior that it has not, which is said', async () => {
  const warned: string[] = [];
  const { run } = await trainedRun(folder(), 'pixelcnn', { prior: { kind: 'pixelcnn' } });
  const reporter = { ...quiet, warn: (text: string) => warned.push(text) };
  const { summary } = await exportRun({ to: 'torch', out: folder() }, { run, reporter });
  expect(summary).toMatchObject({ steps: { stage1: 1 } });
  expect(warned).toEqual(['Without the prior: the project has no pixelcnn.']);
});
