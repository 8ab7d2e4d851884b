/**
 * What lies beside exported ONNX files, the script and the README, with ONNX Runtime alone: they draw as the run's
 * config says.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { silent as reporter } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { loadModel } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { openOnnxModel } from '../../src/engine/onnx-file.js';
import { exportOnnx } from '../../src/exchange/onnx/export.js';
import { decodeLoop } from '../../src/stage2-transformer/autoregressive.js';
import { type Choice, choose } from '../../src/stage2-transformer/choose.js';
import { guided } from '../../src/stage2-transformer/drawer.js';
import { cachedFile } from '../../src/stage2-transformer/file-drawer.js';
import { expectClose } from '../support/close.js';
import { saveTokenizer } from '../support/run.js';
import { numbers, numbersRun } from './numbers-run.js';
import { folderWithRuntime } from './runtime-folder.js';
import { trainedRun } from './trained-run.js';

let root: string;

beforeAll(async () => {
  root = await folderWithRuntime();
});
afterAll(() => fs.rm(root, { recursive: true }));

/** What chance says, again and again; the second takes the least likely code that may be drawn. */
const chances = [0.4, 1 - 2 ** -40, 0.7];

/** What a script exports, flat, run where it lies. */
function runScript(folder: string, script: string, latent = 'codes'): { latent: number[]; images: number[] } {
  const use = `let i = 0;
    Math.random = () => [${chances}][i++ % ${chances.length}];
    const { ${latent}: latent, images } = await import('./${script}');
    console.log(JSON.stringify({ latent: Array.from(latent.data ?? latent.flat(), Number), images: [...images.data] }));`;
  const args = ['--input-type=module', '--eval', use];
  const home = path.join(root, 'home');
  const env = { ...process.env, HOME: home, XDG_CACHE_HOME: home, ORT_DISABLE_TELEMETRY: undefined };
  const said = execFileSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
  expect(existsSync(path.join(home, 'Microsoft'))).toBe(false); // ONNX Runtime's telemetry
  return JSON.parse(said.trim().split('\n').at(-1)!);
}

/** The codes of four pictures as vqgen draws them from the same files by the same chance, the likeliest code first. */
async function drawn(
  folder: string,
  choice: Choice,
  o: { starts: number[]; scale: number; scaleAt?: (place: number) => number },
): Promise<number[]> {
  const sizes = { layers: 2, heads: 2, width: 8, codes: 16, tokens: 4 };
  const file = await openOnnxModel(path.join(folder, 'prior.onnx'), '--model', 1);
  const model = cachedFile(file, sizes, o.scale === 1 ? 4 : 8);
  let i = 0;
  const codes = await decodeLoop({
    known: new Int32Array(4 * sizes.tokens).fill(-1),
    start: Int32Array.from(o.starts),
    nextLogits:
      o.scale === 1
        ? model.nextLogits
        : guided(model.nextLogits, { scaleAt: o.scaleAt ?? (() => o.scale), start: sizes.codes }),
    pick(_, logits) {
      const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
      const sorted = Float32Array.from(order, (code) => logits[code]!);
      return order[choose(sorted, choice, chances[i++ % chances.length]!)]!;
    },
  });
  await model.dispose();
  return Array.from(codes);
}

const none = [16, 16, 16, 16];

test.each<[string, Partial<Config['sample']>, Parameters<typeof drawn>[2] & { classes?: string[] }]>([
  ['top-p', { top_p: 0.8 }, { starts: none, scale: 1 }],
  ['top-k and a temperature', { temperature: 4, top_k: 5, top_p: 1 }, { starts: none, scale: 1 }],
  ['all three', { temperature: 3, top_k: 6, top_p: 0.6 }, { starts: none, scale: 1 }],
  [
    'classes in turn, with guidance',
    { top_p: 0.9, cfg_scale: 2 },
    { classes: ['cat', 'dog', 'eel'], starts: [17, 18, 19, 17], scale: 2 },
  ],
  [
    'with guidance that grows over four codes',
    { top_p: 0.9, cfg_scale: 7, cfg_growth: 'linear' },
    { classes: ['cat', 'dog', 'eel'], starts: [17, 18, 19, 17], scale: 7, scaleAt: (place) => 1 + 2 * place },
  ],
])('sample.mjs draws as the config says: %s', async (name, sample, o) => {
  const { run, config } = await trainedRun(root, name, { sample, classes: o.classes });
  const { out } = await exportOnnx({ run, reporter });
  const { temperature, top_k: topK, top_p: topP } = config.sample;
  const choice = { temperature, topK, topP };
  const wanted = await drawn(out, choice, o);
  for (const less of [{ temperature: 1 }, { topK: 0 }, { topP: 1 }]) {
    const another = { ...choice, ...less };
    if (!isDeepStrictEqual(another, choice)) expect(wanted).not.toEqual(await drawn(out, another, o));
  }
  const { latent, images } = runScript(out, 'sample.mjs');
  expect(latent).toEqual(wanted);
  expect(images).toHaveLength(4 * 3 * 8 * 8);

  const bitmap = await fs.readFile(path.join(out, 'samples.bmp')); // four pictures of 8 × 8, blue first
  expect([bitmap.toString('latin1', 0, 2), bitmap.length]).toEqual(['BM', 54 + 4 * 4 * 64]);
  for (const [picture, y, x] of [
    [0, 0, 0],
    [2, 3, 7],
  ] as const) {
    const at = 54 + 4 * (y * 32 + picture * 8 + x);
    const planes = [2, 1, 0].map((colour) => images[(3 * picture + colour) * 64 + y * 8 + x]!);
    for (const [i, value] of planes.entries())
      expect(Math.abs(bitmap[at + i]! - 255 * value)).toBeLessThan(0.51);
  }

  const readme = await fs.readFile(path.join(out, 'README.md'), 'utf8');
  expect(readme.split('\n').length).toBeLessThan(32);
  expect(readme).toMatch(/'ORT_DISABLE_TELEMETRY', '1'\)\nimport .*onnxruntime/); // before it is loaded
  expect(readme).toContain(`n, temperature, top_k, top_p, codes = 4, ${temperature}, ${topK}, ${topP}, []`);
  if (o.classes) expect(readme).toContain('16, or from 17 on for a class (cat, dog, eel), at the start');
});

test('without a prior, reconstruct.mjs encodes a picture and decodes it', async () => {
  const { config } = await trainedRun(root, 'whole');
  const run = path.join(root, 'only-tokenizer');
  await saveTokenizer(run, config);
  const { out } = await exportOnnx({ run, reporter });
  expect((await fs.readdir(out)).sort()).toEqual([
    'README.md',
    'decoder.onnx',
    'encoder.onnx',
    'reconstruct.mjs',
  ]);
  const { latent, images } = runScript(out, 'reconstruct.mjs');
  expect(latent).toHaveLength(4);
  expect(images).toHaveLength(3 * 8 * 8);
  expect(images.every((x) => x >= 0 && x <= 1)).toBe(true);
  expect((await fs.stat(path.join(out, 'decoded.bmp'))).size).toBe(54 + 4 * 64);
});

/** What the scripts draw by these chances, Box and Muller's way. */
function normals(count: number): number[] {
  const chance = (i: number) => chances[i % chances.length]!;
  return Array.from(
    { length: count },
    (_, i) => Math.sqrt(-2 * Math.log(1 - chance(2 * i))) * Math.cos(2 * Math.PI * chance(2 * i + 1)),
  );
}

test.each([
  ['vae', 16, 'np.random.randn(n, 2, 2, 4)'],
  ['vae vector', 5, 'np.random.randn(n, 5)'],
  ['cvae vector', 5, "means.run(['means'], {'labels': np.arange(n) % 3})[0] + temperature"],
])(
  'numbers: sample.mjs draws N(0, T²), or around the means of classes in turn: %s',
  async (name, width, python) => {
    const { run } = await numbersRun(root, name, { sample: { temperature: 0.5 } });
    const { out } = await exportOnnx({ run, reporter });
    const { tensors } = await loadModel(run, 'stage1');
    const means = tensors['bottleneck.class_means']?.data;
    const wanted = normals(4 * width).map((x, i) => (means?.[i % (3 * width)] ?? 0) + 0.5 * x);
    const { latent, images } = runScript(out, 'sample.mjs', 'latent');
    expectClose({ shape: [4 * width], data: latent }, wanted, { atol: 1e-6, rtol: 1e-6 });
    const decoder = await openOnnxModel(path.join(out, 'decoder.onnx'), '--model', 1);
    const { shape } = numbers[name]!;
    const decoded = await decoder.run({ latent: float32([4, ...shape], latent) });
    await decoder.dispose();
    expectClose({ shape: decoded.images!.shape, data: images }, decoded.images!);
    expect((await fs.stat(path.join(out, 'samples.bmp'))).size).toBe(54 + 4 * 4 * 64);
    const readme = await fs.readFile(path.join(out, 'README.md'), 'utf8');
    expect(readme).toContain(python);
    expect(readme.includes('means.onnx')).toBe(means !== undefined);
  },
);

test('numbers of which nothing is known: reconstruct.mjs', async () => {
  const { run } = await numbersRun(root, 'mae');
  const { out } = await exportOnnx({ run, reporter });
  const { latent, images } = runScript(out, 'reconstruct.mjs', 'latent');
  expect(latent).toHaveLength(16);
  expect(images).toHaveLength(3 * 8 * 8);
  const readme = await fs.readFile(path.join(out, 'README.md'), 'utf8');
  expect(readme).toContain('→ `latent` float32 [batch, 2, 2, 4]');
  expect(readme).toContain("latent, = encoder.run(['latent'], {'images': images})");
});
