// node scripts/sees.mjs FOLDER [--weights DIR] [--size 64] [--n 96] [--psnr 28]: what a perceptual network sees. The
// folder's pictures, changed in several ways by as much (their difference scaled to one PSNR; values may leave [-1, 1]),
// and their mean distance from the originals. At least 16 pictures.
import { parseArgs } from 'node:util';
import { float32 } from '../dist/base/tensor.js';
import { streamEvalImages } from '../dist/data/batches.js';
import { everyImage } from '../dist/data/dataset.js';
import { listImages } from '../dist/data/source.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { loadTrainedFeatures } from '../dist/perceptual/load.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    weights: { type: 'string' },
    size: { type: 'string', default: '64' },
    n: { type: 'string', default: '96' },
    psnr: { type: 'string', default: '28' },
  },
});
const [size, n, psnr, batch] = [Number(values.size), Number(values.n), Number(values.psnr), 16];
const network = await loadTrainedFeatures(size, values.weights);
const device = onnxDevice();
const shape = [batch, size, size, 3];
const graph = await device.prepare({
  name: 'sees',
  inputs: { x: { shape, dtype: 'float32' }, y: { shape, dtype: 'float32' } },
  constants: network.constants,
  run: ({ x, y }, constants) => ({ distance: network.distance(constants, x, y) }),
});

let seed = 1;
const random = () => {
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647 - 0.5;
};
const noise = Array.from({ length: size * size }, random);
const inside = (at) => Math.min(size - 1, Math.max(0, at));
/** Each gives what is added to a value, up to a factor: of pixel (y, x), channel c, of a picture read by `at`. */
const ways = {
  brighter: () => 1,
  'another colour': (_, __, ___, c) => [1, 0, -1][c],
  'moved by a pixel': (at, y, x, c) => at(y, inside(x + 1), c) - at(y, x, c),
  blurred: (at, y, x, c) => {
    let sum = 0;
    for (let i = -3; i <= 3; i++)
      for (let j = -3; j <= 3; j++) sum += at(inside(y + i), inside(x + j), c) / 49;
    return sum - at(y, x, c);
  },
  'a lattice of 8 pixels': (_, y, x) => Math.cos((2 * Math.PI * (x + y)) / 8),
  'a lattice of 4 pixels': (_, y, x) => Math.cos((2 * Math.PI * (x + y)) / 4 + 0.5),
  'a chessboard of pixels': (_, y, x) => (x + y) % 2 || -1,
  'grey noise': (_, y, x) => noise[y * size + x],
  'coloured noise': () => random(),
};

const sums = Object.fromEntries(Object.keys(ways).map((name) => [name, 0]));
let count = 0;
const subset = everyImage(await listImages(positionals[0], 'FOLDER'));
const stride = Math.max(1, Math.floor(subset.indices.length / n));
const chosen = { ...subset, indices: subset.indices.filter((_, i) => i % stride === 0).slice(0, n) };
for await (const { images } of streamEvalImages(chosen, { size, batchSize: batch, skipped: [] })) {
  if (images.shape[0] < batch) break;
  for (const [name, way] of Object.entries(ways)) {
    const y = float32(shape);
    const area = size * size * 3;
    for (let b = 0; b < batch; b++) {
      const x = images.data.subarray(b * area, (b + 1) * area);
      const at = (row, column, c) => x[(row * size + column) * 3 + c];
      const more = Float64Array.from(x, (_, i) =>
        way(at, Math.floor(i / 3 / size), Math.floor(i / 3) % size, i % 3),
      );
      const square = more.reduce((sum, v) => sum + v * v, 0) / area;
      const factor = Math.sqrt((4 * 10 ** (-psnr / 10)) / (square + 1e-12));
      x.forEach((v, i) => {
        y.data[b * area + i] = v + factor * more[i];
      });
    }
    sums[name] += (await graph.run({ x: images, y })).distance.data[0] * batch;
  }
  count += batch;
}
console.log(`| ${network.name}, ${count} pictures, ${psnr} dB each | distance |\n|--|--|`);
for (const [name, sum] of Object.entries(sums)) console.log(`| ${name} | ${(sum / count).toFixed(4)} |`);
await graph.dispose();
