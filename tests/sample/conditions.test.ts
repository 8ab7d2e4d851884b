/** A prior that is told of pictures beside their classes, from tokens to draws: the real commands' functions. */
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths, tokenFile, writeRunConfig } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { configSchema } from '../../src/config/schema.js';
import { writePng } from '../../src/data/pictures.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { evaluate } from '../../src/evaluate/evaluate.js';
import { complete } from '../../src/sample/complete.js';
import { toldBy } from '../../src/sample/conditions.js';
import { like, readGiven } from '../../src/sample/like.js';
import { ofEach } from '../../src/sample/prior-source.js';
import { sample } from '../../src/sample/sample.js';
import { loadModels } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { trainPrior } from '../../src/stage2-transformer/train.js';
import { priorCondition } from '../../src/tokenize/conditions/begun.js';
import type { Conditioner, ConditionRecord } from '../../src/tokenize/conditions/condition.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { inFolder, pixelsOf, readAll } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer } from '../support/run.js';

let device: Device;
let at: (name: string) => string;
const size = 16;

/** A part of each picture is of one colour, the rest of another; its map says which is which. */
async function writePairs(folder: string, n: number): Promise<void> {
  for (let i = 0; i < n; i++) {
    const flat = (colours: number[][]) =>
      float32(
        [size, size, 3],
        Float32Array.from({ length: size * size * 3 }, (_, j) => {
          const x = Math.floor(j / 3) % size;
          return colours[x < (i % 2 ? 9 : 5) ? 0 : 1]![j % 3]!;
        }),
      );
    const name = `${i % 2 ? 'odd' : 'even'}/${i}.png`;
    await writePng(
      path.join(folder, 'images', name),
      flat([
        [Math.sin(i), 1, -1],
        [-1, Math.cos(i), 1],
      ]),
    );
    await writePng(
      path.join(folder, 'maps', name),
      flat([
        [1, -1, -1],
        [-1, -1, 1],
      ]),
    );
  }
}

const settings = (prior: object, maps?: string) =>
  configSchema.parse({
    data: { size, dir: at('pairs/images'), flip: true, val_fraction: 0.3 },
    stage1: {
      ...{ ch: 4, ch_mult: [1, 1, 1], z_channels: 4, embed_dim: 4, codes: 16, disc: { weight: 0 } },
    },
    tokenize: { codings: 2 },
    prior: {
      ...{ layers: 1, heads: 2, width: 16, batch_size: 8, steps: 6, warmup: 0, lr: 0.01, eval_every: 6 },
      ...prior,
      ...(maps && { condition: { kind: 'maps', maps } }),
    },
  });

beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await writePairs(at('pairs'), 24);
});
afterAll(removeFolders);

async function trained(name: string, prior: object, o: { maps?: string; set?: string[] }): Promise<string> {
  const run = at(name);
  const config = settings(prior, o.maps);
  await saveTokenizer(run, config);
  await tokenize({ run, set: o.set, device, reporter: silent });
  await trainPrior({ config: readRunConfig(run), run, resume: false, device, reporter: silent });
  // Few steps teach little: weights in which all that is told acts take the place of those.
  const start = priorStart((await loadModels(run)).prior.model, 0);
  for (const t of Object.values(start))
    for (const i of t.data.keys()) t.data[i] = 5 * Math.sin(100 * i) * 0.1 + 3 * t.data[i]!;
  const state = { step: 99, seconds: 0, validated: 99, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, start, state, 1);
  return run;
}

const drawn = (run: string, o: object = {}) => sample({ run, n: 2, device, reporter: silent, ...o });

describe.each([
  ['gpt', 'edges'],
  ['maskgit', 'lowres'],
  ['pixelcnn', 'edges'],
  ['gpt', 'palette'],
])('%s told of %s', (kind, condition) => {
  let run: string;
  beforeAll(async () => {
    run = await trained(`${kind}-${condition}`, { kind }, { set: [`prior.condition.kind=${condition}`] });
  });

  test('tokens hold what each view tells; the run notes what its prior is told', async () => {
    expect(readRunConfig(run).prior.condition.kind).toBe(condition);
    const tokens = await readTokens(tokenFile(run, 'train'), 'next');
    const cells = tokens.condition!.grid.height * tokens.condition!.grid.width;
    expect(tokens.told).toHaveLength(tokens.count * cells);
    expect(priorCondition(run)).toEqual(tokens.condition);
    const [plain, mirrored] = [0, 1].map((row) => tokens.told!.subarray(row * cells, (row + 1) * cells));
    if (condition === 'palette') expect(mirrored).toEqual(plain);
    else expect(mirrored).not.toEqual(plain);
    const { prior } = await loadModels(run);
    expect(prior.model.grids.map(({ name }) => name)).toEqual(['condition', 'codes']);
  });

  test('each file has its draws, below what it tells; they do not depend on how many there are', async () => {
    const folder = at('pairs/images/even');
    const two = await drawn(run, { condition: folder, cfgScale: 3 });
    const files = (await fs.readdir(folder)).length;
    expect(two.images).toBe(2 * files);
    expect(path.basename(two.files[0]!)).toBe('0-0000.png');
    expect(path.basename(two.files[3]!)).toMatch(/^1?\d-0001\.png$/);
    const { width, height } = await sharp(two.grid).metadata();
    expect([width, height]).toEqual([(8 * 18 - 2) * 6, (2 * 4 * 18 - 2) * 6]);
    const [all, one] = [await readAll(two.files), await drawn(run, { condition: folder, n: 1, cfgScale: 3 })];
    expect(await readAll(one.files)).toEqual(all.filter((_, i) => i % 2 === 0));
    expect(two).not.toHaveProperty('classes');
  });

  test('what is told acts, with a class beside it and alone; without it pictures are drawn, too', async () => {
    const [even, odd] = ['even/0.png', 'odd/1.png'].map((name) => at(`pairs/images/${name}`));
    const warm = { n: 6, cfgScale: 3, topP: 1 };
    const bytes = async (o: object) => readAll((await drawn(run, { ...warm, ...o })).files);
    expect(await bytes({ condition: even })).not.toEqual(await bytes({ condition: odd }));
    const told = { condition: even, cfgScale: 30 };
    const ofClass = (name: string) => bytes({ ...told, classes: [name] });
    // Of 81 tokens a class is one, and with random weights says little.
    if (kind !== 'maskgit') expect(await ofClass('even')).not.toEqual(await ofClass('odd'));
    expect(await drawn(run, { n: 3 })).toMatchObject({ images: 3, classes: ['even', 'odd', 'even'] });
  });

  test('complete draws without, evaluate with it', async () => {
    const image = at('pairs/images/odd/3.png');
    expect(await complete({ run, image, n: 1, device, reporter: silent })).toMatchObject({ images: 1 });
    const summary = await evaluate({ run, n: 4, device, reporter: silent });
    expect(summary.prior!.bits_per_token).toBeGreaterThan(0);
    expect(summary.samples).toMatchObject({ n: 4, cfg_scale: 1 });
    if (condition === 'palette') return; // guided as a gpt told of edges
    const untold = await evaluate({ run, n: 4, cfgScale: 3, device, reporter: silent });
    expect(untold.samples).toMatchObject({
      cfg_scale: 3,
      cfg_growth: kind === 'maskgit' ? 'linear' : 'constant',
    });
  });
});

describe('maps', () => {
  const maps = () => at('pairs/maps');
  let run: string;
  beforeAll(async () => {
    run = await trained('maps', {}, { maps: maps() });
  });

  test('their colours are counted; a map tells as much as its mirror image, mirrored', async () => {
    const { condition, told } = await readTokens(tokenFile(run, 'train'), 'next');
    expect(condition!.labels!.map(({ colour }) => colour).sort()).toEqual(['#0000ff', '#ff0000']);
    expect(condition!.grid).toEqual({ name: 'condition', height: 4, width: 4, vocab: 3 });
    const rows = [0, 1].map((i) => [...told!.subarray(16 * i, 16 * i + 4)]);
    expect(rows[1]).toEqual([...rows[0]!].reverse());
    expect(new Set(rows[0]).size).toBe(2);
  });

  test('a picture is drawn again like itself where it is told of the same file, in whatever folder', async () => {
    const condition = at('pairs/maps/even');
    const { files, grid } = await drawn(run, { condition, n: 2, cfgScale: 3 });
    const again = async (file: string, condition?: string) =>
      like({
        ...{ given: await readGiven(file), run, condition, out: at('again.png') },
        device,
        reporter: silent,
      });
    const sixth = path.basename(files[5]!).replace('-0001', '');
    expect((await again(files[5]!, path.join(condition, sixth))).same).toBe(true);
    expect((await again(grid, condition)).same).toBe(true);
    await expect(again(files[5]!, at('pairs/maps/odd/1.png'))).rejects.toThrow(
      /^Expected the file that the picture was told of \(SHA-256 [0-9a-f]{8}…\) for --condition but received .*1\.png, which is another\.$/,
    );
    await expect(again(files[5]!)).rejects.toThrow(/^Expected the file that .* was told of for --condition/);
    expect((await again(grid, at('pairs/maps/odd'))).differs[0]).toMatch(/^Another condition: /);
  });

  test('larger than trained: each window is told of its part of the map', async () => {
    const big = at('big.png');
    const wide = float32(
      [32, 64, 3],
      Float32Array.from({ length: 32 * 64 * 3 }, (_, i) => {
        const right = Math.floor(i / 3) % 64 >= 32;
        return [right ? -1 : 1, -1, right ? 1 : -1][i % 3]!;
      }),
    );
    await writePng(big, wide);
    const o = { condition: big, extent: { width: 64, height: 32 }, n: 1, cfgScale: 5 };
    const { files, grid } = await drawn(run, o);
    expect(await sharp(files[0]!).metadata()).toMatchObject({ width: 64, height: 32 });
    expect(await sharp(grid).metadata()).toMatchObject({ width: 128, height: 2 * 2 * 34 - 4 });
    const shown = await pixelsOf(grid);
    expect([...shown.subarray(0, 3), ...shown.subarray(3 * 127, 3 * 128)]).toEqual([255, 0, 0, 0, 0, 255]);
  });

  test('one sentence for each thing that does not fit', async () => {
    const again = (set: string[]) => tokenize({ run, set, device, reporter: silent });
    await fs.cp(maps(), at('some'), { recursive: true });
    await fs.rm(at('some/odd/1.png'));
    await expect(again([`prior.condition.maps=${at('some')}`])).rejects.toThrow(
      /Expected a map for every picture for prior\.condition\.maps but received .*some, which has none for odd\/1\.png\./,
    );
    await fs.cp(maps(), at('more'), { recursive: true });
    await fs.cp(at('more/odd/1.png'), at('more/odd/99.png'));
    const warnings: string[] = [];
    const warn = (line: string) => warnings.push(line);
    const own = { run, device, reporter: { ...silent, warn } };
    await tokenize({ ...own, set: [`prior.condition.maps=${at('more')}`] });
    expect(warnings).toContain('Maps without a picture are left out: odd/99.png.');

    await fs.cp(maps(), at('wide'), { recursive: true });
    await writePng(at('wide/odd/5.png'), float32([16, 24, 3], new Float32Array(16 * 24 * 3).fill(1)));
    await expect(again([`prior.condition.maps=${at('wide')}`])).rejects.toThrow(
      /Expected a map as wide and high as its picture odd\/5\.png, once fitted 16×16 for .*5\.png but received 24×16/,
    );
    const strange = at('strange.png');
    await writePng(strange, float32([16, 16, 3], new Float32Array(16 * 16 * 3)));
    await expect(drawn(run, { condition: strange })).rejects.toThrow(
      /Expected a map of the colours #\w+, #\w+ for .*strange\.png but received #808080\./,
    );
    await expect(again(['prior.layers=3'])).rejects.toThrow(
      'Expected a key of tokenize or prior.condition for --set but received prior.layers=3.',
    );
    await expect(again(['prior.condition.side=5'])).rejects.toThrow(
      'Expected a divisor of data.size (16) for prior.condition.side but received 5.',
    );
    await fs.cp(run, at('copy'), { recursive: true });
    await fs.rm(at('copy/prior'), { recursive: true });
    const config = readRunConfig(run);
    const edges = {
      ...config,
      prior: { ...config.prior, condition: { ...config.prior.condition, kind: 'edges' } },
    };
    await expect(
      trainPrior({ config: edges as never, run: at('copy'), resume: false, device, reporter: silent }),
    ).rejects.toThrow(
      /Expected tokens that tell of edges, 4 × 4 codes, as prior\.condition says, for .*train\.safetensors but received maps, 4 × 4 codes of 2 colours\./,
    );
  });

  test('a prior that was begun stays with what it is told, and is told nothing else', async () => {
    await fs.cp(run, at('begun'), { recursive: true });
    const set = ['prior.condition.kind=edges', 'prior.condition.maps=null'];
    await tokenize({ run: at('begun'), set, device, reporter: silent });
    const config = readRunConfig(at('begun'));
    await expect(
      trainPrior({ config, run: at('begun'), resume: true, device, reporter: silent }),
    ).rejects.toThrow(
      /Expected a prior that is told of edges for --run but received .*, whose prior was begun with maps, 4 × 4 codes of 2 colours\. Train another prior: remove /,
    );
    const notes: string[] = [];
    const reporter = { ...silent, note: (line: string) => notes.push(line) };
    const draws = await drawn(at('begun'), {
      precision: 'int8',
      reporter,
      condition: at('pairs/maps/odd/1.png'),
    });
    expect(draws.int8).toBeNull();
    expect(notes.join()).toMatch(
      /Expected tokens that tell of maps, 4 × 4 codes of 2 colours, as the prior is told, .* but received edges, 4 × 4 codes\./,
    );
  });

  test('a file is read and made codes of once, however many pictures are drawn of it', async () => {
    const asked: number[] = [];
    const record: ConditionRecord = {
      ...{ kind: 'maps', size: 16, grid: { name: 'condition', height: 1, width: 1, vocab: 3 } },
    };
    const conditioner: Conditioner = {
      record,
      codes: async ([map]) => Int32Array.of(asked.push(map!.length)),
      shown: async () => new Float32Array(0),
      dispose: async () => {},
    };
    const folder = at('read');
    await fs.cp(at('pairs/maps/odd'), folder, { recursive: true });
    const told = await toldBy({ condition: folder }, { config: readRunConfig(run), conditioner });
    await fs.rm(folder, { recursive: true });
    const { fileOf } = ofEach(told, { n: 3 });
    const files = told!.length;
    const codes = [0, 1, 2].map(async (i) => (await fileOf(3 * (files - 1) + i)!.codes())[0]);
    expect(await Promise.all(codes)).toEqual([1, 1, 1]);
    expect(asked).toEqual([16 * 16 * 3]);
  });

  test('files of one name but two endings are two', async () => {
    const folder = at('twins');
    await fs.mkdir(folder);
    await fs.copyFile(at('pairs/maps/odd/1.png'), path.join(folder, 'a.png'));
    const webp = await sharp(at('pairs/maps/even/2.png')).webp({ lossless: true }).toBuffer();
    await fs.writeFile(path.join(folder, 'a.webp'), webp);
    const { files } = await drawn(run, { condition: folder, n: 1 });
    expect(files.map((file) => path.basename(file))).toEqual(['a.png-0000.png', 'a.webp-0000.png']);
  });

  test('a prior that always was told must be; one that is told nothing cannot be', async () => {
    const always = await trained('always', { class_dropout: 0 }, { maps: maps() });
    await expect(drawn(always)).rejects.toThrow('Expected a map for --condition but received nothing.');
    const forget = async (of: string) => {
      const { prior, ...rest } = readRunConfig(of);
      await writeRunConfig(of, {
        ...rest,
        prior: { ...prior, condition: { ...prior.condition, maps: null } },
      });
    };
    await forget(always);
    const said: string[] = [];
    const reporter = {
      ...silent,
      warn: (line: string) => said.push(line),
      note: (line: string) => said.push(line),
    };
    const o = { n: 4, device, reporter };
    const measured = await evaluate({ ...o, run: always });
    expect(measured).toMatchObject({ prior: null, samples: null });
    expect(measured.tokenizer.psnr).toBeGreaterThan(0);
    expect(said).toContain(
      `Likelihoods and samples are left out: the prior never learned to draw without maps, and prior.condition.maps names none. This keeps a folder of them: vqgen tokenize --run ${always} --set prior.condition.maps=FOLDER`,
    );
    await fs.cp(run, at('forgetful'), { recursive: true });
    await forget(at('forgetful'));
    expect((await evaluate({ ...o, run: at('forgetful') })).prior).not.toBeNull();
    expect(said).toContain(
      'Of images without maps the prior is told nothing: prior.condition.maps names none.',
    );
    const never = await trained('never', {}, {});
    await expect(drawn(never, { condition: at('pairs/maps/odd/1.png') })).rejects.toThrow(
      /Expected nothing for --condition but received .*1\.png, where the prior was told nothing of pictures/,
    );
  });
});
