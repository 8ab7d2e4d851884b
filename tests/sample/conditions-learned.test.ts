/** A prior that is told codes of maps, or of pictures with fewer pixels, which a tokenizer makes. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths, tokenFile } from '../../src/checkpoint/run.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import { writePng } from '../../src/data/pictures.js';
import { readEvalImage } from '../../src/data/reading.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { evaluate } from '../../src/evaluate/evaluate.js';
import { exportRunFolder } from '../../src/exchange/share.js';
import { reconstruct } from '../../src/sample/reconstruct.js';
import { sample } from '../../src/sample/sample.js';
import { trainStage1 } from '../../src/stage1-vqgan/train.js';
import { loadModels } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { trainPrior } from '../../src/stage2-transformer/train.js';
import { priorCondition } from '../../src/tokenize/conditions/begun.js';
import { openConditioner } from '../../src/tokenize/conditions/index.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { inFolder, pixelsOf, readAll } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer } from '../support/run.js';

let device: Device;
let at: (name: string) => string;
const size = 16;

/** Colours in stripes of which each picture has others, below it a map and a ramp of depth. */
async function writeAll(folder: string, n: number): Promise<void> {
  const paint = (name: string, of: (x: number, y: number) => number[]) => {
    const values = Array.from({ length: size * size }, (_, i) => of(i % size, Math.floor(i / size))).flat();
    return writePng(path.join(folder, name), float32([size, size, 3], values));
  };
  for (let i = 0; i < n; i++) {
    const edge = 3 + (i % 9);
    await paint(`images/${i}.png`, (x) => (x < edge ? [Math.sin(i), 1, -1] : [-1, Math.cos(i), 1]));
    await paint(`maps/${i}.png`, (x) => (x < edge ? [1, -1, -1] : [-1, -1, 1]));
    await paint(`depth/${i}.png`, (x, y) => new Array(3).fill(x < edge ? y / size - 0.5 : 0.2));
  }
}

const options = { resume: false, reporter: silent };
const stage1 = {
  ...{
    network: 'strided',
    upsampling: 'nearest',
    ch: 8,
    ch_mult: [1, 2, 2],
    num_res_blocks: 1,
    embed_dim: 8,
  },
  ...{ codes: 16, bottleneck: { kind: 'ema' }, disc: { weight: 0 }, perceptual: { kind: 'none' }, ema: 0.9 },
  ...{ steps: 60, batch_size: 8, lr: 0.01, warmup: 5, eval_every: 30, codebook: { warmup: 5 } },
};

async function mapsTokenizer(name: string, pictures: string, changes: object = {}): Promise<string> {
  const data = { size, dir: at(pictures === 'labels' ? 'maps' : 'depth'), pictures, flip: true };
  const config = parseConfig({ data, stage1: { ...stage1, ...changes } }, 'test');
  await trainStage1({ config, run: at(name), device, ...options });
  return at(name);
}

beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await writeAll(at('.'), 24);
});
afterAll(removeFolders);

async function images(run: string, set: string[], kind = 'gpt'): Promise<void> {
  const data = { size, dir: at('images'), flip: true, val_fraction: 0.3 };
  const prior = { kind, layers: 1, heads: 2, width: 16, batch_size: 8, steps: 4, warmup: 0, eval_every: 4 };
  await saveTokenizer(
    run,
    parseConfig(
      { data, prior, stage1: { ...stage1, z_channels: 4, embed_dim: 4 }, tokenize: { codings: 2 } },
      'test',
    ),
  );
  await tokenize({ run, set, device, reporter: silent });
}

const trained = (run: string) => trainPrior({ config: readRunConfig(run), run, device, ...options });

describe('labels', () => {
  let tokenizer: string;
  let run: string;
  beforeAll(async () => {
    tokenizer = await mapsTokenizer('labels', 'labels');
    run = at('told-labels');
    await images(run, [
      'prior.condition.kind=maps',
      `prior.condition.maps=${at('maps')}`,
      `prior.condition.tokenizer=${tokenizer}`,
    ]);
    await trained(run);
  });

  test('the tokenizer knows its colours, and finds a map again by its codes', async () => {
    expect(readRunConfig(tokenizer).data.labels.sort()).toEqual(['#0000ff', '#ff0000']);
    const text = await fs.readFile(path.join(runPaths(tokenizer).stage1, 'metrics.jsonl'), 'utf8');
    const last = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .findLast(({ split }) => split === 'val');
    expect(last.label_accuracy).toBeGreaterThan(0.9);
    expect(last).not.toHaveProperty('pattern_luma');
    const out = at('again.png');
    await reconstruct({ run: tokenizer, images: [at('maps/5.png')], out, device, reporter: silent });
    const colours = new Set<string>();
    const pixels = await pixelsOf(out);
    for (let i = 0; i < pixels.length; i += 3) colours.add([...pixels.subarray(i, i + 3)].join());
    for (const colour of colours) expect(['255,0,0', '0,0,255', '255,255,255']).toContain(colour);
    const measured = await evaluate({ run: tokenizer, device, reporter: silent });
    expect(measured.tokenizer.label_accuracy).toBeGreaterThan(0.9);
    expect(measured.tokenizer).not.toHaveProperty('colour_shift');
  });

  test('a run has a copy of it, by which it tells of maps', async () => {
    const { condition, told } = await readTokens(tokenFile(run, 'train'), 'next');
    expect(condition).toMatchObject({
      grid: { height: 4, width: 4, vocab: 17 },
      tokenizer: { pictures: 'labels', pixels: 16, sha256: (await loadModel(tokenizer, 'stage1')).sha256 },
    });
    expect(priorCondition(run)).toEqual(condition);
    const away = at('away');
    await fs.rename(tokenizer, away);
    const conditioner = await openConditioner(condition!, { run, device, batch: 3 });
    const { names } = await readTokens(tokenFile(run, 'train'), 'next');
    const maps = await Promise.all(
      names
        .slice(0, 4)
        .map(
          async (name) =>
            (await readEvalImage(at(`maps/${name}`), size, { pictures: 'labels', labels: [] })).data,
        ),
    );
    const codes = await conditioner.codes(maps as Float32Array[]);
    for (const row of [0, 2])
      expect([...codes.subarray(16 * row, 16 * row + 16)]).toEqual([
        ...told!.subarray(16 * row, 16 * row + 16),
      ]);
    const shown = await conditioner.shown(codes.subarray(0, 16));
    const same = shown.filter((value, i) => value === maps[0]![i]).length;
    expect(same / shown.length).toBeGreaterThan(0.8);
    await conditioner.dispose();
    await tokenize({ run, device, reporter: silent });
    await fs.rename(away, tokenizer);
  });

  test('maps are drawn from, one by one and larger; measured; handed on', async () => {
    const o = { run, device, reporter: silent };
    const one = await sample({ ...o, condition: at('maps/3.png'), n: 2 });
    expect(one.images).toBe(2);
    const wide = await sample({ ...o, condition: at('maps/3.png'), n: 1, extent: { width: 32, height: 16 } });
    expect(wide.files).toHaveLength(1);
    expect((await evaluate({ ...o, n: 4 })).prior!.bits_per_token).toBeGreaterThan(0);
    const out = at('handed');
    await exportRunFolder({ run, out, precision: 'f16', reporter: silent });
    const again = await sample({ ...o, run: out, condition: at('maps/3.png'), n: 2 });
    expect(await readAll(again.files)).toHaveLength(2);
    const { sha256 } = await loadModel(runPaths(out).condition, 'stage1');
    const told = priorCondition(run)!;
    expect(priorCondition(out)).toEqual({ ...told, tokenizer: { ...told.tokenizer, sha256 } });
  });

  test('a mistake that comes after the tokenizer was opened closes it', async () => {
    let open = 0;
    const counting: Device = {
      ...device,
      async prepare(program) {
        const graph = await device.prepare(program);
        open++;
        const dispose = async () => {
          open--;
          await graph.dispose();
        };
        return { ...graph, dispose };
      },
    };
    const o = { run, device: counting, reporter: silent, condition: at('maps/3.png'), n: 1 };
    for (const extent of [undefined, { width: 32, height: 16 }]) {
      await expect(sample({ ...o, extent, temperature: -1 })).rejects.toThrow('--temperature');
      await expect(sample({ ...o, extent, condition: at('nothing.png') })).rejects.toThrow('nothing.png');
    }
    expect(open).toBe(0);
  });

  test('codes of another tokenizer are refused, and maps that it does not fit', async () => {
    const other = await mapsTokenizer('other', 'labels', { steps: 8, codes: 16 });
    const mixed = at('mixed');
    await fs.cp(run, mixed, { recursive: true });
    const another = { run: mixed, set: [`prior.condition.tokenizer=${other}`], device, reporter: silent };
    await expect(tokenize(another)).rejects.toThrow(
      /^Expected the tokenizer \w{8}, with whose codes the prior in .*mixed was begun, for prior\.condition\.tokenizer but received .*other, \w{8}\. For its codes: --set prior\.condition\.tokenizer=.*condition\. For others remove .*prior, or train in another run\.$/,
    );
    expect(await readTokens(tokenFile(mixed, 'val'), '')).toEqual(
      await readTokens(tokenFile(run, 'val'), ''),
    );
    await fs.rename(runPaths(mixed).prior, at('set-aside'));
    await tokenize(another);
    await fs.rename(at('set-aside'), runPaths(mixed).prior);
    await expect(
      sample({ run: at('mixed'), condition: at('maps/3.png'), n: 1, device, reporter: silent }),
    ).rejects.toThrow(
      /Expected the tokenizer \w{8}, of whose codes the prior is told, for .*condition but received \w{8}\./,
    );
    const { prior, ...rest } = readRunConfig(at('mixed'));
    const config = { ...rest, prior: { ...prior, steps: 9 } };
    await expect(
      trainPrior({ config, run: at('mixed'), device, reporter: silent, resume: true }),
    ).rejects.toThrow(/Expected a prior that is told of maps, .* for --run but received/);
    const small = parseConfig({ data: { size: 8, dir: at('maps'), pictures: 'labels' }, stage1 }, 'test');
    await trainStage1({
      config: { ...small, stage1: { ...small.stage1, steps: 2, eval_every: 2 } },
      ...{ run: at('small'), device, ...options },
    });
    await fs.rm(runPaths(mixed).prior, { recursive: true });
    const set = [`prior.condition.tokenizer=${at('small')}`];
    await expect(tokenize({ run: mixed, set, device, reporter: silent })).rejects.toThrow(
      /Expected a tokenizer of 16×16 pixels for prior\.condition\.tokenizer but received .*small, of 8×8\./,
    );
    await writePng(at('grey.png'), float32([16, 16, 3], new Float32Array(16 * 16 * 3)));
    await expect(sample({ run, condition: at('grey.png'), n: 1, device, reporter: silent })).rejects.toThrow(
      /Expected a map of the colours #\w+, #\w+ for .*grey\.png but received #808080\./,
    );
  });
});

test('depth: one plane in and out, and a prior told of it', async () => {
  const tokenizer = await mapsTokenizer('depth-run', 'depth');
  const { tensors } = await loadModel(tokenizer, 'stage1');
  expect(tensors['encoder.halvings.0.weight']!.shape).toEqual([4, 4, 1, 8]);
  const run = at('told-depth');
  await images(run, [
    'prior.condition.kind=maps',
    `prior.condition.maps=${at('depth')}`,
    `prior.condition.tokenizer=${tokenizer}`,
  ]);
  await trained(run);
  const { files, grid } = await sample({ run, condition: at('depth/2.png'), n: 2, device, reporter: silent });
  expect(files).toHaveLength(2);
  const pixels = await pixelsOf(grid);
  const shown = pixels.subarray(0, 3 * 8);
  for (let i = 0; i < shown.length; i += 3) expect(new Set(shown.subarray(i, i + 3)).size).toBe(1);
});

test('lowres by the tokenizer of the images: codes of a picture of fewer pixels', async () => {
  const run = at('told-lowres');
  const set = ['kind=lowres', 'tokenizer=own', 'side=8'].map((key) => `prior.condition.${key}`);
  await images(run, set);
  await trained(run);
  const { condition } = await readTokens(tokenFile(run, 'train'), 'next');
  expect(condition).toMatchObject({
    grid: { height: 2, width: 2, vocab: 17 },
    tokenizer: { pictures: 'photographs', pixels: 8 },
  });
  const o = { run, device, reporter: silent };
  expect(await sample({ ...o, condition: at('images/7.png'), n: 1 })).toMatchObject({ images: 1 });
  const wrong = (key: string) => tokenize({ ...o, set: [`prior.condition.${key}`] });
  await expect(wrong('side=2')).rejects.toThrow(
    'Expected a multiple of 4 that divides 16 for prior.condition.side but received 2. A code is 4 pixels wide.',
  );
  await expect(wrong('tokenizer=elsewhere')).rejects.toThrow(
    /Expected own or null for prior\.condition\.tokenizer but received .*elsewhere\./,
  );
  await expect(wrong('kind=edges')).rejects.toThrow(
    'Expected null for prior.condition.tokenizer but received own. With prior.condition.kind edges nothing comes of it.',
  );
});

test.each(['maskgit', 'pixelcnn'])('%s is told codes of a tokenizer, too', async (kind) => {
  const run = at(`told-${kind}`);
  const tokenizer = await mapsTokenizer(`labels-of-${kind}`, 'labels');
  const keys = ['kind=maps', `maps=${at('maps')}`, `tokenizer=${tokenizer}`];
  await images(
    run,
    keys.map((key) => `prior.condition.${key}`),
    kind,
  );
  await trained(run);
  // Few steps teach little: weights in which all that is told acts take the place of those.
  const start = priorStart((await loadModels(run)).prior.model, 0);
  for (const t of Object.values(start))
    for (const i of t.data.keys()) t.data[i] = 0.5 * Math.sin(100 * i) + 3 * t.data[i]!;
  const state = { step: 99, seconds: 0, validated: 99, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, start, state, 1);
  const { told, names, codings } = await readTokens(tokenFile(run, 'train'), 'next');
  const first = (row: number) => told!.subarray(16 * row, 16 * row + 16).join();
  const unlike = names.findIndex((_, row) => row % codings === 0 && first(row) !== first(0));
  expect(unlike).toBeGreaterThan(0);
  const o = { run, device, reporter: silent, n: 4, cfgScale: 3, topP: 1 };
  const drawn = async (row: number) =>
    readAll((await sample({ ...o, condition: at(`maps/${names[row]}`) })).files);
  const [one, again, other] = [await drawn(0), await drawn(0), await drawn(unlike)];
  expect(one).toEqual(again);
  expect(one).not.toEqual(other);
});

test('maps of one colour tell nothing, and are refused', async () => {
  const run = at('told-nothing');
  const flat = float32([size, size, 3], new Float32Array(size * size * 3).fill(1));
  for (let i = 0; i < 24; i++) await writePng(at(`flat/${i}.png`), flat);
  await expect(
    images(run, ['prior.condition.kind=maps', `prior.condition.maps=${at('flat')}`]),
  ).rejects.toThrow(
    /Expected maps of two colours or more for prior\.condition\.maps but received .*flat, where all is #ffffff\./,
  );
});
