/** A run whose prior draws in passes, as ONNX files: the script and `--model` draw what the run does. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import vm from 'node:vm';
import sharp from 'sharp';
import { silent as reporter } from '../../src/base/progress.js';
import { main } from '../../src/cli/main.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import { readOnnxMetadata } from '../../src/engine/onnx-file.js';
import { exportOnnx } from '../../src/exchange/onnx/export.js';
import { exportedModels } from '../../src/exchange/onnx/open.js';
import { growthOf, passesOf } from '../../src/sample/choices.js';
import { blankCanvas } from '../../src/stage2-transformer/canvas.js';
import { haltonOrder } from '../../src/stage2-transformer/maskgit/halton.js';
import { call } from '../support/streams.js';
import { folderWithRuntime } from './runtime-folder.js';
import { trainedRun } from './trained-run.js';

let root: string;
beforeAll(async () => {
  root = await folderWithRuntime();
});
afterAll(() => fs.rm(root, { recursive: true }));

const vocabularies = [6, 40];
const hierarchy = {
  bottleneck: {
    kind: 'hierarchy',
    levels: [
      { kind: 'nearest', codes: vocabularies[0] },
      { kind: 'fsq', levels: [5, 4, 2] },
    ],
  },
};
const classes = ['cat', 'dog', 'eel'];
const maskgit = (more: object = {}) => ({ kind: 'maskgit', substitute: 0.2, ...more });

/** Chance, the same in the script as here. */
const chanceText = '(s = (s * 16807) % 2147483647) / 2147483647';
function chance(): () => number {
  let s = 11;
  return () => {
    s = (s * 16807) % 2147483647;
    return s / 2147483647;
  };
}

function runScript(folder: string): { codes: number[][]; dims: number[] } {
  const use = `let s = 11;
    Math.random = () => ${chanceText};
    const { codes, images } = await import('./sample.mjs');
    console.log(JSON.stringify({ codes, dims: images.dims }));`;
  const args = ['--input-type=module', '--eval', use];
  const said = execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  return JSON.parse(said.trim().split('\n').at(-1)!);
}

/** The codes of four pictures of the classes in turn as vqgen draws them from the same files by the same chance. */
async function drawn(folder: string, sample: Config['sample']): Promise<number[]> {
  const { prior, open } = await exportedModels(folder, 1);
  const known = prior.condition.classes.length;
  const labels = Int32Array.from({ length: 4 }, (_, i) => (known > 0 ? i % known : -1));
  const cells = prior.grids.reduce((sum, { height, width }) => sum + height * width, 0);
  const cfgScale = known > 0 ? sample.cfg_scale : 1;
  const { drawer, decoder } = await open({ batch: 4, cfgScale, decodeBatch: 4 });
  const uniform = chance(); // of all pictures, as in the script
  const codes = await drawer.draw(blankCanvas(cells, labels), {
    choice: { temperature: sample.temperature, topK: sample.top_k, topP: sample.top_p },
    growth: growthOf({ cfgScale }, { sample }, prior),
    passes: passesOf({}, { sample, prior: { ...configSchema.parse({}).prior, substitute: 0.2 } }, prior),
    random: Array.from(labels, () => ({ uniform })),
  });
  await Promise.all([drawer, decoder].map((each) => each.dispose()));
  return [...codes];
}

// With the likeliest code alone chance decides which cells are kept, and nothing else: a draw takes codes in another
// order.
const likeliest = { top_k: 1, top_p: 1, temperature: 3 };

interface Case {
  readonly stage1?: object;
  readonly prior?: object;
  readonly sample?: Partial<Config['sample']>;
  readonly classes?: readonly string[];
}
test.each<[string, Case]>([
  ['by confidence', { sample: { order: 'confidence', choice_temperature: 0.1 } }],
  [
    'arccos, in Halton’s order',
    { prior: { mask_schedule: 'arccos' }, sample: { order: 'halton', decode_steps: 3 } },
  ],
  ['linear, revised', { prior: { mask_schedule: 'linear' }, sample: { revise: 0.9, decode_steps: 6 } }],
  [
    'square, in Halton’s order, revised',
    { prior: { mask_schedule: 'square' }, sample: { order: 'halton', revise: 0.9 } },
  ],
  ['linear guidance', { classes, sample: { cfg_scale: 3, decode_steps: 3 } }],
  ['a pass, guided', { classes, sample: { cfg_scale: 3, decode_steps: 1 } }],
  ['cosine guidance', { classes, sample: { cfg_scale: 3, cfg_growth: 'cosine', revise: 0.5 } }],
  [
    'two grids, no chance, constant guidance',
    {
      classes,
      stage1: hierarchy,
      sample: { cfg_scale: 3, cfg_growth: 'constant', decode_steps: 4, choice_temperature: 0 },
    },
  ],
  [
    'two grids in Halton’s order, classes',
    { classes, stage1: hierarchy, sample: { order: 'halton', decode_steps: 2 } },
  ],
])('sample.mjs fills a canvas as vqgen does: %s', async (name, o) => {
  // One attention head's worth of pictures is 4 × 4 codes, so that passes have a choice of cells.
  const stage1 = o.stage1 ?? { ch_mult: [1, 1] };
  const sample = { ...likeliest, ...o.sample };
  const { run, config } = await trainedRun(root, name, { ...o, stage1, sample, prior: maskgit(o.prior) });
  const { out } = await exportOnnx({ run, reporter });
  const wanted = await drawn(out, config.sample);
  const { codes, dims } = runScript(out);
  expect(codes.flat()).toEqual(wanted);
  expect(dims).toEqual([4, 3, 8, 8]);
  expect(new Set(wanted).size).toBeGreaterThan(1);
  if (config.sample.decode_steps > 1) {
    const others: Partial<Config['sample']>[] = [
      { decode_steps: config.sample.decode_steps + 1 },
      ...(config.sample.revise > 0 ? [{ revise: 0 }] : []),
      ...(o.classes && config.sample.cfg_scale !== 1 ? [{ cfg_scale: 1 }] : []),
    ];
    for (const other of others) expect(await drawn(out, { ...config.sample, ...other })).not.toEqual(wanted);
  }
});

test('the order of cells that sample.mjs finds is the prior’s own', async () => {
  const sample = { order: 'halton' as const };
  const { run } = await trainedRun(root, 'far', { prior: maskgit(), sample });
  const { out } = await exportOnnx({ run, reporter });
  const script = await fs.readFile(path.join(out, 'sample.mjs'), 'utf8');
  const [written] = /^function farApart.*?^}/ms.exec(script)!;
  const farApart = vm.runInThisContext(`(${written})`) as (grid: object) => number[];
  for (const [height, width] of [
    [8, 8],
    [5, 7],
    [9, 27],
    [32, 32],
    [64, 64],
  ] as const)
    expect(farApart({ height, width })).toEqual([...haltonOrder(height, width)]);
});

test('sample.mjs chooses by chance, too: pictures differ, each grid’s codes are its own', async () => {
  const sample = { temperature: 2, top_p: 0.95 };
  const { run } = await trainedRun(root, 'chance', { stage1: hierarchy, prior: maskgit(), sample });
  const { out } = await exportOnnx({ run, reporter });
  const { codes } = runScript(out);
  expect(new Set(codes.map((row) => row.join())).size).toBe(4);
  for (const row of codes) {
    expect(row).toHaveLength(5);
    for (const [cell, code] of row.entries()) {
      expect(code).toBeGreaterThanOrEqual(0);
      expect(code).toBeLessThan(vocabularies[cell < 1 ? 0 : 1]!);
    }
  }
  const { size } = await fs.stat(path.join(out, 'samples.bmp'));
  expect(size).toBe(54 + 4 * 4 * 64);
});

test('metadata and README say what goes in and comes out, and draw in passes', async () => {
  const sample = { decode_steps: 5, cfg_scale: 2, order: 'confidence' as const };
  const { run } = await trainedRun(root, 'said', { stage1: hierarchy, prior: maskgit(), sample, classes });
  const { out } = await exportOnnx({ run, reporter });
  expect(await readOnnxMetadata(path.join(out, 'prior.onnx'), '--model')).toMatchObject({
    tokens: '5',
    codes: 'int64 [batch, 5], 0 to 39, all grids end to end, row by row; -1 where unknown',
    labels: 'int64 [batch], 0 to 2 a class, -1 none',
    logits: 'float32 [batch, 5, 40], natural logarithms, of each place by all codes that are known',
  });
  const readme = await fs.readFile(path.join(out, 'README.md'), 'utf8');
  expect(readme).toContain(
    "- `prior.onnx`: `codes` int64 [batch, 5], `top`, then `bottom`, each row by row, -1 where unknown; `labels` int64 [batch], numbers of classes (cat, dog, eel), or -1 without one → `logits` float32 [batch, 5, 40], of each place's code by all that are known (of a grid with fewer codes the first count)",
  );
  expect(readme).toContain('n, temperature, top_k, top_p, steps = 4, 1, 0, 0.92, 5\n');
  expect(readme).toContain('np.repeat([6, 40], [1, 4])');
  expect(readme).toContain('+ 4.5 * (1 - done) * np.random.gumbel');
  expect(readme).toContain('(1 + (2 - 1) * ((step - 1) / (steps - 1) if steps > 1 else 1))');
});

describe('by command', () => {
  const vqgen = async (line: string) => {
    const { code, stdout, stderr } = await call(main, [...line.split(' '), '--json', '--threads', '1']);
    return { code, said: stderr, summary: code === 0 ? JSON.parse(stdout.trim().split('\n').at(-1)!) : {} };
  };
  const pixels = (file: string) => sharp(file).raw().toBuffer();
  let run: string;
  beforeAll(async () => {
    ({ run } = await trainedRun(root, 'commands', {
      ...{ stage1: { ch_mult: [1, 1] }, prior: maskgit(), classes },
    }));
  });

  test.each([
    '',
    ' --decode-steps 3 --order halton',
    ' --order confidence --choice-temperature 0 --decode-steps 5',
    ' --revise 0.6 --class dog --cfg-scale 2',
  ])('sample --model%s: the pictures of the run', async (options) => {
    const out = path.join(root, 'commands-onnx');
    await exportOnnx({ run, out, reporter });
    await fs.rm(path.join(run, 'samples'), { recursive: true, force: true });
    const draw = `sample --n 3 --seed 4 --device cpu${options}`;
    const own = await vqgen(`${draw} --run ${run}`);
    const drawn = await vqgen(`${draw} --model ${out} --run ${path.join(root, `drawn${options.length}`)}`);
    expect([own.code, drawn.code]).toEqual([0, 0]);
    for (const [i, file] of (drawn.summary.files as string[]).entries()) {
      const [a, b] = [await pixels(file), await pixels(own.summary.files[i])];
      expect(a.every((x, j) => Math.abs(x - b[j]!) <= 1)).toBe(true);
    }
    expect(drawn.summary.files).toHaveLength(3);
  });

  test('info; export to a run and to safetensors; imported again, it draws the same', async () => {
    expect((await vqgen(`info ${run}`)).summary).toMatchObject({ classes });
    const shared = path.join(root, 'shared');
    const out = path.join(root, 'tensors');
    const again = path.join(root, 'imported');
    expect((await vqgen(`export --to run --run ${run} --out ${shared}`)).summary.prior).toBe(true);
    const { files } = (await vqgen(`export --to safetensors --run ${run} --out ${out}`)).summary;
    expect((await vqgen(`import ${files.join(' ')} --run ${again}`)).summary.prior).toBe(true);
    const draw = 'sample --n 2 --seed 1 --device cpu --out';
    const pictures = [];
    for (const [i, from] of [run, shared, again].entries()) {
      const { code, summary } = await vqgen(`${draw} ${path.join(root, `${i}`)} --run ${from}`);
      expect(code).toBe(0);
      pictures.push(await Promise.all((summary.files as string[]).map(pixels)));
    }
    expect(pictures[1]).toEqual(pictures[0]);
    expect(pictures[2]).toEqual(pictures[0]);
  });

  test('export --to taming is refused with what to do instead', async () => {
    expect(await vqgen(`export --to taming --run ${run}`)).toMatchObject({
      code: 2,
      said: expect.stringContaining(
        "Expected gpt for prior.kind but received maskgit. taming-transformers has no other: --to safetensors writes it under vqgen's names, --to onnx for any runtime.",
      ),
    });
  });
});
