// node scripts/moon.mjs [--seeds 0,1,2,3,4] [--numbers 1,2,8,32] [--out FILE.png] [--json], after npm run setup: what
// an AE and a VAE make of a moon whose middle phases they never saw, half way between new and full moon and from
// random vectors (docs/lineage.md).
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { stream } from '../dist/base/rng.js';
import { float32, scalar } from '../dist/base/tensor.js';
import { parseConfig } from '../dist/config/layers.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { under } from '../dist/nn/params.js';
import { modelOf } from '../dist/stage1-vqgan/model.js';
import { walkPrograms } from '../dist/stage1-vqgan/programs.js';
import { initialState } from '../dist/stage1-vqgan/state.js';
import { stage1Step } from '../dist/stage1-vqgan/step.js';
import { learningRate } from '../dist/train/schedule.js';

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string', default: '0,1,2,3,4' },
    numbers: { type: 'string', default: '1,2,8,32' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const [seeds, sizes] = [options.seeds, options.numbers].map((list) => list.split(',').map(Number));

const size = 8;
const kinds = [
  { kind: 'none', name: 'AE' },
  { kind: 'gaussian', name: 'VAE' },
];

/** [8, 8, 3] in [−1, 1], lit from the right. @param phase 0 (new) to 1 (full) */
function moon(phase) {
  const picture = new Float32Array(size * size * 3);
  const fine = 8; // points across a pixel
  for (let i = 0; i < (size * fine) ** 2; i++) {
    const [x, y] = [i % (size * fine), Math.floor(i / (size * fine))];
    const [u, v] = [x, y].map((a) => ((a + 0.5) / fine - size / 2) / (0.42 * size));
    const disc = u * u + v * v <= 1;
    const lit = disc && u > Math.cos(Math.PI * phase) * Math.sqrt(1 - v * v);
    const at = (Math.floor(y / fine) * size + Math.floor(x / fine)) * 3;
    for (let c = at; c < at + 3; c++) picture[c] += (lit ? 2 : disc ? 0.3 : 0) / fine ** 2;
  }
  return picture.map((value) => value - 1);
}

const phases = Array.from({ length: 101 }, (_, i) => i / 100);
const real = phases.map(moon);
const unseen = (phase) => phase >= 0.4 && phase <= 0.6;
const seen = real.filter((_, i) => !unseen(phases[i]));

/** Root of the mean squared difference. */
const distance = (a, b) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);
const away = (picture, pictures) => Math.min(...pictures.map((one) => distance(picture, one)));
const nearest = (picture) => {
  const to = real.map((one) => distance(picture, one));
  const off = Math.min(...to);
  return { phase: phases[to.indexOf(off)], off };
};
/** The farthest that a real moon, unseen, is from those of the training. */
const bound = Math.max(...real.map((one) => away(one, seen)));

const batchSize = 16;
const configOf = (kind, numbers, seed) =>
  parseConfig(
    {
      seed,
      data: { size },
      stage1: {
        ...{ ch: 8, ch_mult: [1], norm_groups: 4, z_channels: 8, embed_dim: 8 },
        bottleneck: { kind, shape: 'vector', latent_dim: numbers },
        ...{ pixel: 'l2', perceptual: { kind: 'none' }, disc: { weight: 0 } },
        ...{ steps: 300, batch_size: batchSize, lr: 3e-3, warmup: 20, clip: 0, ema: 0 },
      },
    },
    'moon',
  );

const device = onnxDevice({ threads: 1 });
const batchOf = (shape, parts) => {
  const all = float32([parts.length, ...shape]);
  parts.forEach((part, i) => {
    all.data.set(part, i * part.length);
  });
  return all;
};
const apart = ({ data }, n) =>
  Array.from({ length: n }, (_, i) => data.slice((i * data.length) / n, ((i + 1) * data.length) / n));

/** The weights after a training. @param runner of a `stage1Step` of the same kind and numbers */
async function train(config, runner) {
  const { seed, stage1 } = config;
  const model = modelOf(config);
  runner.load(initialState({ model }, stage1, seed));
  const inputs = Array.from({ length: stage1.steps }, (_, i) => {
    const rng = stream(seed, 'moon', i);
    const pictures = Array.from({ length: batchSize }, () => seen[rng.below(seen.length)]);
    return {
      images: batchOf([size, size, 3], pictures),
      ...{ lr: scalar(learningRate(i + 1, stage1)), step: scalar(i + 1), updates: scalar(i + 1) },
      ...model.bottleneck.feed('train', i + 1, new Int32Array(batchSize)).batched,
    };
  });
  await runner.run(inputs);
  return under('model', await runner.read());
}

/** Pictures of the way from the code of new moon to that of full moon, and of random vectors from N(0, I). */
async function look(config, weights) {
  const n = phases.length;
  const { toPoint, fromPoint, shape } = walkPrograms(modelOf(config), weights, n);
  const [encoder, decoder] = [await device.prepare(toPoint), await device.prepare(fromPoint)];
  const decode = async (points) =>
    apart((await decoder.run({ point: batchOf(shape, points) })).images, points.length);
  const codes = apart((await encoder.run({ images: batchOf([size, size, 3], real) })).point, n);
  const [from, to] = [codes[0], codes.at(-1)];
  const walk = await decode(phases.map((t) => from.map((v, i) => (1 - t) * v + t * to[i])));
  const rng = stream(config.seed, 'random vectors');
  const random = [];
  for (let i = 0; i < 4; i++) {
    random.push(...(await decode(phases.map(() => from.map(() => rng.normal())))));
  }
  await Promise.all([encoder.dispose(), decoder.dispose()]);
  return { walk, random };
}

const results = [];
if (!options.json) {
  const blend = nearest(real[0].map((v, i) => (v + real.at(-1)[i]) / 2));
  console.log(
    `The mean of new and full moon is nearest to phase ${blend.phase}, ${blend.off.toFixed(2)} from it.`,
  );
  console.log(`A random vector gives a moon if a real one is within ${bound.toFixed(2)}.\n`);
  console.log(
    '| numbers | model | seed | half way | off | random: off, median | moons |\n|--|--|--|--|--|--|--|',
  );
}
for (const numbers of sizes) {
  for (const { kind, name } of kinds) {
    const first = configOf(kind, numbers, 0);
    const step = stage1Step({ model: modelOf(first) }, undefined, first.stage1);
    const runner = await device.prepareStep(step);
    for (const seed of seeds) {
      const config = configOf(kind, numbers, seed);
      const { walk, random } = await look(config, await train(config, runner));
      const half = nearest(walk[50]);
      const offs = random.map((picture) => away(picture, real)).sort((a, b) => a - b);
      const moons = offs.filter((off) => off <= bound).length / offs.length;
      const off = offs[offs.length / 2];
      results.push({ numbers, name, seed, half, random: { off, moons }, walk });
      if (!options.json) {
        const row = [numbers, name, seed, half.phase, half.off.toFixed(2), off.toFixed(2)];
        console.log(`| ${[...row, `${(100 * moons).toFixed(0)} %`].join(' | ')} |`);
      }
    }
    await runner.dispose();
  }
}

if (options.json) console.log(JSON.stringify(results.map(({ walk: _, ...result }) => result)));
if (options.out) await draw(options.out);

/** One row for each model of the smallest latent: nine pictures from the code of new moon to that of full moon. */
async function draw(file) {
  const [tile, gap, left] = [6 * size, 4, 90];
  const rows = [{ caption: 'real moons', pictures: Array.from({ length: 9 }, (_, i) => moon(i / 8)) }];
  for (const { name } of kinds) {
    for (const one of results.filter((r) => r.name === name && r.numbers === sizes[0])) {
      const pictures = Array.from({ length: 9 }, (_, i) => one.walk[Math.round(i * 12.5)]);
      rows.push({ caption: `${name}, seed ${one.seed}`, pictures, half: one.half.phase, group: name });
    }
  }
  const topOf = (y) => y * (tile + gap) + 12 * new Set(rows.slice(1, y + 1).map(({ group }) => group)).size;
  const parts = rows.map(async ({ caption, pictures, half }, y) => {
    const top = topOf(y);
    const images = pictures.map(async (picture, x) => {
      const bytes = Uint8Array.from(picture, (v) => Math.max(0, Math.min(255, 127.5 * (v + 1))));
      const raw = { width: size, height: size, channels: 3 };
      const png = await sharp(bytes, { raw }).resize(tile, tile, { kernel: 'nearest' }).png().toBuffer();
      return `<image x="${left + x * (tile + gap)}" y="${top}" width="${tile}" height="${tile}"
        href="data:image/png;base64,${png.toString('base64')}"/>`;
    });
    const words = (x, text) => `<text x="${x}" y="${top + tile / 2 + 4}">${text}</text>`;
    const right = half === undefined ? 'nearest phase half way' : `${Math.round(100 * half)} %`;
    return [
      ...(await Promise.all(images)),
      words(8, caption),
      words(left + 9 * (tile + gap) + 8, right),
    ].join('');
  });
  const [width, height] = [left + 9 * (tile + gap) + 150, topOf(rows.length - 1) + tile];
  const middle = left + 4 * (tile + gap) - 2;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + 8}" font-family="sans-serif" font-size="12">
    <rect width="100%" height="100%" fill="white"/><g transform="translate(0 4)">${(await Promise.all(parts)).join('')}
    <rect x="${middle}" y="${tile + gap + 8}" width="${tile + 4}" height="${height - tile - gap - 8}" fill="none" stroke="#c33" stroke-width="2"/>
    </g></svg>`;
  await sharp(Buffer.from(svg)).png({ palette: true }).toFile(file);
}
