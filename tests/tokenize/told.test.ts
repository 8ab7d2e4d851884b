/** Tokens that tell of maps by another run's tokenizer, of which the run keeps a copy. */
import fs from 'node:fs';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths, tokenFile, writeRunConfig } from '../../src/checkpoint/run.js';
import { parseState, stateText } from '../../src/checkpoint/state.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { writePng } from '../../src/data/pictures.js';
import type { Device } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { recordCondition } from '../../src/tokenize/conditions/begun.js';
import { openConditioner } from '../../src/tokenize/conditions/index.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { inFolder } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

const device = onnxDevice({ threads: 1 });
let at: (name: string) => string;
let first: string;
let second: string;

/** A run whose tokenizer is one of depth, of random weights. */
async function depthRun(name: string, seed: number): Promise<string> {
  await saveTokenizer(at(name), tinyConfig({}, { pictures: 'depth', dir: at('maps') }), { seed });
  return at(name);
}

beforeAll(async () => {
  at = inFolder(await freshFolder());
  for (let i = 0; i < 12; i++)
    for (const folder of ['images', 'maps']) {
      const pixels = Array.from({ length: 64 }, (_, j) => new Array(3).fill(Math.sin(i * (j + 1)))).flat();
      await writePng(at(`${folder}/${i}.png`), float32([8, 8, 3], pixels));
    }
  first = await depthRun('first', 1);
  second = await depthRun('second', 2);
});
afterAll(removeFolders);

async function imagesRun(name: string): Promise<string> {
  await saveTokenizer(at(name), tinyConfig({}, { dir: at('images') }));
  return at(name);
}

const told = (run: string, tokenizer: string, o: object = {}) =>
  tokenize({
    ...{ run, device, reporter: silent },
    set: [
      'prior.condition.kind=maps',
      `prior.condition.maps=${at('maps')}`,
      `prior.condition.tokenizer=${tokenizer}`,
    ],
    ...o,
  });

const shaOf = async (run: string) => (await loadModel(run, 'stage1')).sha256;
const copyOf = (run: string) => shaOf(runPaths(run).condition);
const tokensOf = (run: string) => readTokens(tokenFile(run, 'train'), 'next');

/** Reports each batch. */
const onProgress = (update: () => void) => ({ ...silent, progress: () => ({ update, stop: () => {} }) });

test('the copy comes last: tokens that were not finished leave what was there', async () => {
  const run = await imagesRun('stopped');
  await told(run, first);
  expect(await copyOf(run)).toBe(await shaOf(first));
  const stop = new AbortController();
  const reporter = onProgress(() => stop.abort(new Error('stopped')));
  await expect(told(run, second, { reporter, signal: stop.signal })).rejects.toThrow('stopped');
  expect(await copyOf(run)).toBe(await shaOf(first));
  expect((await tokensOf(run)).condition?.tokenizer?.sha256).toBe(await shaOf(first));
  expect(fs.readdirSync(run).filter((name) => name.startsWith('.'))).toEqual([]);
  await told(run, second);
  expect(await copyOf(run)).toBe(await shaOf(second));
});

test('a copy that is there is not made again', async () => {
  const run = await imagesRun('twice');
  await told(run, first);
  const { ino } = fs.statSync(runPaths(runPaths(run).condition).config);
  await told(run, first);
  expect(fs.statSync(runPaths(runPaths(run).condition).config).ino).toBe(ino);
});

test('a tokenizer that trains on meanwhile: tokens and copy are of the same step', async () => {
  const run = await imagesRun('meanwhile');
  const training = await depthRun('training', 3);
  const before = await shaOf(training);
  const { stage1 } = runPaths(training);
  let done = false;
  const trainOn = () => {
    if (done) return;
    done = true;
    fs.cpSync(path.join(runPaths(second).stage1, 'step-00000001'), path.join(stage1, 'step-00000002'), {
      recursive: true,
    });
    fs.rmSync(path.join(stage1, 'step-00000001'), { recursive: true });
    const file = path.join(stage1, 'step-00000002', 'state.json');
    const { state, checksums } = parseState(fs.readFileSync(file, 'utf8'), file);
    fs.writeFileSync(file, stateText({ state: { ...state, step: 2 }, checksums }));
  };
  await told(run, training, { reporter: onProgress(trainOn) });
  expect(await shaOf(training)).not.toBe(before);
  const { condition } = await tokensOf(run);
  expect([condition?.tokenizer?.sha256, await copyOf(run)]).toEqual([before, before]);
});

test('a prior that was begun keeps its tokenizer: codes of another are refused before the work', async () => {
  const run = await imagesRun('begun');
  await told(run, first);
  const { condition } = await tokensOf(run);
  await recordCondition(run, condition);
  let batches = 0;
  const refused = told(run, second, { reporter: onProgress(() => batches++) });
  await expect(refused).rejects.toThrow(
    /^Expected the tokenizer \w{8}, with whose codes the prior in .*begun was begun, for prior\.condition\.tokenizer but received .*second, \w{8}\. For its codes: --set prior\.condition\.tokenizer=.*condition\. For others remove .*prior, or train in another run\.$/,
  );
  expect(batches).toBe(0);
  expect(await copyOf(run)).toBe(await shaOf(first));
  await told(run, runPaths(run).condition);

  fs.rmSync(runPaths(run).condition, { recursive: true });
  await expect(openConditioner(condition!, { run, device })).rejects.toThrow(
    /^Expected the tokenizer \w{8}, of whose codes the prior is told, for .*condition but received no tokenizer\. Copy it there again: vqgen tokenize --run .*begun --set prior\.condition\.tokenizer=DIR, the run that it is of\.$/,
  );
  await told(run, first);
  expect(await copyOf(run)).toBe(await shaOf(first));
});

test('a folder of the user’s in the copy’s place is not replaced', async () => {
  const run = await imagesRun('others');
  const { condition } = runPaths(run);
  fs.mkdirSync(condition);
  fs.writeFileSync(path.join(condition, 'notes.txt'), 'mine');
  await expect(told(run, first)).rejects.toThrow(
    /^Expected a run, or nothing for .*condition but received a folder without config\.json\. It would be replaced/,
  );
  expect(fs.readdirSync(condition)).toEqual(['notes.txt']);
});

test('a run that is none, or not trained, is told by its key; a folder of its name does not hide the copy', async () => {
  const run = await imagesRun('names');
  await expect(told(run, at('nowhere'))).rejects.toThrow(
    /^Expected a run for prior\.condition\.tokenizer but received .*nowhere, which does not exist\./,
  );
  await expect(told(run, at('images'))).rejects.toThrow(
    /^Expected a run for prior\.condition\.tokenizer but received .*images, which holds no config\.json\./,
  );
  const untrained = at('untrained');
  fs.cpSync(first, untrained, { recursive: true });
  fs.rmSync(runPaths(untrained).stage1, { recursive: true });
  await expect(told(run, untrained)).rejects.toThrow(
    /^Expected a trained tokenizer for prior\.condition\.tokenizer but received .*untrained, which has none yet\./,
  );
  await told(run, first);
  const { prior, ...others } = readRunConfig(run);
  const condition = { ...prior.condition, tokenizer: at('images') }; // As an import elsewhere may have it.
  await writeRunConfig(run, { ...others, prior: { ...prior, condition } });
  await tokenize({ run, device, reporter: silent });
  expect((await tokensOf(run)).condition?.tokenizer?.sha256).toBe(await shaOf(first));
});

test('sessions are closed where the tokenizer cannot be opened', async () => {
  const run = await imagesRun('closed');
  let open = 0;
  const failing: Device = {
    ...device,
    async prepare(program) {
      if (open > 0) throw new Error('no room');
      const graph = await device.prepare(program);
      open++;
      return {
        ...graph,
        dispose: async () => {
          open--;
          await graph.dispose();
        },
      };
    },
  };
  await expect(told(run, first, { device: failing })).rejects.toThrow('no room');
  expect(open).toBe(0);
  expect(fs.existsSync(runPaths(run).condition)).toBe(false);
  expect(readRunConfig(run).prior.condition.kind).toBe('none');
});

test('what shows codes to people is opened once it is asked to', async () => {
  const run = await imagesRun('shown');
  await told(run, first);
  const { condition } = await tokensOf(run);
  const prepared: string[] = [];
  const noting: Device = {
    ...device,
    prepare: (program) => {
      prepared.push(program.name);
      return device.prepare(program);
    },
  };
  const conditioner = await openConditioner(condition!, { run, device: noting });
  const codes = await conditioner.codes([new Float32Array(192)]);
  expect(prepared).toHaveLength(1);
  await conditioner.shown(codes);
  await conditioner.shown(codes);
  expect(prepared).toHaveLength(2);
  await conditioner.dispose();
});

test('of a prior without a code for nothing told, as imported ones are, tokens are its own', async () => {
  const run = await imagesRun('imported');
  await told(run, first);
  const { condition } = await tokensOf(run);
  const { grid } = condition!;
  const began = { ...condition!, grid: { ...grid, vocab: grid.vocab - 1 } };
  await recordCondition(run, began);
  await told(run, first);
  expect((await tokensOf(run)).condition).toEqual(began);
});

test('one that a call names and that is not there is not taken for the copy', async () => {
  const run = await imagesRun('misnamed');
  await told(run, first);
  await expect(told(run, at('nowhere'))).rejects.toThrow(
    /Expected a run for prior\.condition\.tokenizer but received .*nowhere, which does not exist\./,
  );
  await tokenize({ run, device, reporter: silent });
  expect(await copyOf(run)).toBe(await shaOf(first));
});
