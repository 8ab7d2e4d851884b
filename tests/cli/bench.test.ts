import { main, readArguments } from '../../src/cli/bench.js';
import { call } from '../support/streams.js';

const bench = (...argv: string[]) => call(main, argv);

const sizes = { ch: 8, mult: [1, 2], blocks: 2, attention: [8], resolution: 16, z: 6, embed: 4, codes: 16 };
const stage1 =
  '--batch 2 --resolution 16 --ch 8 --ch-mult 1,2 --res-blocks 2 --attn-resolutions 8 --z-channels 6 --embed-dim 4 --codes 16 --disc-ch 4 --disc-layers 1';
const prior = '--batch 2 --layers 2 --heads 2 --width 8 --tokens 5 --codes 16 --top-k 3';
/** Of training steps, which take as long to prepare as they have layers. */
const least = { ...sizes, mult: [1], blocks: 1, attention: [] };
const leastStage1 = stage1
  .replace('--ch-mult 1,2 --res-blocks 2', '--ch-mult 1 --res-blocks 1')
  .replace('--attn-resolutions 8 ', '');
const timing = '--steps 2 --warmup 1 --threads 1 --seed 3';

const conv = (kernel: number, i: number, o: number) => kernel * kernel * i * o + o;
const norm = (c: number) => 2 * c;
const res = (i: number, o: number) =>
  norm(i) + conv(3, i, o) + norm(o) + conv(3, o, o) + (i === o ? 0 : conv(1, i, o));
const attention = (c: number) => norm(c) + 4 * conv(1, c, c);

/** The published architecture, counted anew: arXiv 2012.09841, table 7. */
function autoencoderParams({ ch, mult, blocks, attention: at, resolution, z, embed, codes }: typeof sizes) {
  let encoder = conv(3, 3, ch);
  let c = ch;
  let r = resolution;
  for (const [level, m] of mult.entries()) {
    for (let block = 0; block < blocks; block++) {
      encoder += res(c, ch * m) + (at.includes(r) ? attention(ch * m) : 0);
      c = ch * m;
    }
    if (level < mult.length - 1) {
      encoder += conv(3, c, c);
      r /= 2;
    }
  }
  const middle = 2 * res(c, c) + attention(c);
  encoder += middle + norm(c) + conv(3, c, z) + conv(1, z, embed);

  let decoder = conv(1, embed, z) + conv(3, z, c) + middle;
  for (const [level, m] of [...mult.entries()].reverse()) {
    for (let block = 0; block < blocks + 1; block++) {
      decoder += res(c, ch * m) + (at.includes(r) ? attention(ch * m) : 0);
      c = ch * m;
    }
    if (level > 0) {
      decoder += conv(3, c, c);
      r *= 2;
    }
  }
  return encoder + decoder + norm(c) + conv(3, c, 3) + codes * embed;
}

/** arXiv 1606.05328: 7×7, mask A, then 3×3, each with two stacks; a head of 1×1s. */
function pixelcnnParams(layers: number, d: number, codes: number): number {
  const layer = (kernel: number) => {
    const back = (kernel + 1) / 2;
    const stacks = back * kernel * d * 2 * d + 2 * d + (back * d * 2 * d + 2 * d);
    return stacks + conv(1, 2 * d, 2 * d) + conv(1, d, d);
  };
  return codes * d + layer(7) + (layers - 1) * layer(3) + conv(1, d, 4 * d) + conv(1, 4 * d, codes);
}

function gptParams(layers: number, width: number, tokens: number, codes: number): number {
  const linear = (i: number, o: number) => i * o + o;
  const block =
    2 * norm(width) +
    linear(width, 3 * width) +
    linear(width, width) +
    linear(width, 4 * width) +
    linear(4 * width, width);
  return (codes + 1) * width + tokens * width + layers * block + norm(width) + width * codes;
}

test('the counts used here are those of the known sizes', () => {
  const known = { ...sizes, ch: 32, mult: [1, 2, 4], blocks: 1, attention: [], resolution: 64 };
  expect(autoencoderParams({ ...known, z: 64, embed: 64, codes: 512 })).toBe(2_876_771);
  expect(gptParams(6, 256, 256, 512)).toBe(5_067_008);
  expect(pixelcnnParams(8, 96, 512)).toBe(2_279_552);
});

test.each([
  ['stage1-ae', `${leastStage1} --vgg-taps 1`, 'images', autoencoderParams(least)],
  ['stage1-gan', leastStage1, 'images', autoencoderParams(least)],
  // Mean and log-variance in place of a codebook.
  ['vae-train', leastStage1, 'images', autoencoderParams({ ...least, codes: 0 }) + (6 + 1) * 4],
  ['encode', stage1, 'images', autoencoderParams(sizes)],
  ['decode', stage1, 'images', autoencoderParams(sizes)],
  ['prior-train', prior, 'tokens', gptParams(2, 8, 5, 16)],
  ['sample', prior, 'images', gptParams(2, 8, 5, 16)],
  ['prior-train', `${prior} --precision int8`, 'tokens', gptParams(2, 8, 5, 16)],
  ['sample', `${prior} --precision int8`, 'images', gptParams(2, 8, 5, 16)],
  ['pixelcnn-train', `${prior} --tokens 9`, 'tokens', pixelcnnParams(2, 8, 16)],
  ['pixelcnn-sample', `${prior} --tokens 9`, 'images', pixelcnnParams(2, 8, 16)],
])('%s prints one line of JSON', async (work, flags, unit, params) => {
  const { code, stdout } = await bench(work, ...flags.split(' '), ...timing.split(' '));
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  expect(Object.keys(result)).toEqual([
    'engine',
    'work',
    'params',
    'ms',
    'min_ms',
    'max_ms',
    'per_second',
    'unit',
    'peak_rss_mb',
  ]);
  expect(result).toMatchObject({ work, params, unit });
  expect(result.ms).toBeGreaterThan(0);
});

test('--profile prints the slowest operators beside it', async () => {
  const { code, stdout, stderr } = await bench(...`encode ${stage1} ${timing} --profile 60`.split(' '));
  expect(code).toBe(0);
  expect(JSON.parse(stdout).work).toBe('encode');
  expect(stderr).toMatch(/^[\d.]+ ms a step\n/);
  expect(stderr).toMatch(/ms +[\d.]+ × +\d+ GFLOP\/s {2}(Fused)?Conv\n/);
});

test('flags have the defaults of the program it is compared with', () => {
  expect(readArguments(['encode', '--ch-mult', '1,2', '--attn-resolutions', '']).flags).toMatchObject({
    batch: 8,
    'ch-mult': [1, 2],
    'attn-resolutions': [],
    codes: 512,
    'top-k': 100,
  });
});

test.each([
  [
    'paint',
    'Expected one of stage1-ae, stage1-gan, vae-train, encode, decode, prior-train, sample, pixelcnn-train, pixelcnn-sample, maskgit-train, maskgit-sample for WORK but received paint.',
  ],
  ['encode --bach 3', 'Expected a known option for bench but received --bach. Did you mean --batch?'],
  ['encode --batch x', 'Expected whole numbers for --batch but received x.'],
  ['sample --precision int4', 'Expected one of f32, int8, f16 for --precision but received int4.'],
  ['encode --precision int8', 'Expected f32 for encode for --precision but received int8.'],
  [
    'pixelcnn-train --precision int8',
    'Expected f32 or f16 for pixelcnn-train for --precision but received int8.',
  ],
  ['pixelcnn-train --tokens 5', 'Expected a square number for pixelcnn-train for --tokens but received 5.'],
  ['encode --batch 0', 'Expected at least 1 for --batch but received 0.'],
  [
    'prior-train --heads 7',
    'Expected a divisor of prior.width (256) for prior.heads but received 7. Try --set prior.heads=8.',
  ],
])('bench %s', async (line, sentence) => {
  expect(await bench(...line.split(' '))).toEqual({ code: 2, stdout: '', stderr: `${sentence}\n` });
});
