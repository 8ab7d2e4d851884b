// node scripts/draws.mjs --run RUN --classifier DIR [--n 512] [--seeds 0,1,2] SETTING…: how ways of drawing compare. A
// SETTING is a list of options of vqgen sample without their dashes, such as order=halton,revise=0.1, or none. For
// each: fd_vqgen from the run's validation pictures, the share of samples that a classifier (vqgen train-perceptual)
// takes for what was asked for, their pattern in brightness, colour and lattice (dB), and the seconds that drawing and
// measuring took.
import { parseArgs } from 'node:util';
import { silent } from '../dist/base/progress.js';
import { readRunConfig } from '../dist/checkpoint/run.js';
import { streamEvalImages } from '../dist/data/batches.js';
import { readableSplits } from '../dist/data/dataset.js';
import { patternOf, Spectrum } from '../dist/data/pattern.js';
import { toBytes } from '../dist/data/pictures.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { vqgenSpace } from '../dist/evaluate/features.js';
import { frechetDistance, Moments } from '../dist/evaluate/frechet.js';
import { gatherSamples, observeSamples } from '../dist/evaluate/samples.js';
import { openClassifier } from '../dist/perceptual/classifier.js';
import { drawingOptions } from '../dist/sample/source.js';
import { openSource } from '../dist/sample/sources.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...{ run: { type: 'string' }, classifier: { type: 'string' } },
    ...{ n: { type: 'string', default: '512' }, seeds: { type: 'string', default: '0,1,2' } },
  },
});
const { run } = values;
const [batch, n, seeds] = [16, Number(values.n), values.seeds.split(',').map(Number)];
const device = onnxDevice();
const { data } = readRunConfig(run);
const space = await vqgenSpace(device, data.size, batch);
const classifier = await openClassifier(device, values.classifier);
const { val } = await readableSplits(data, 'data.dir', silent);
const real = new Moments(space.width);
const spectrum = new Spectrum(data.size);
for await (const { images } of streamEvalImages(val, { size: data.size, batchSize: batch, skipped: [] })) {
  real.add(await space.extract(images));
  spectrum.add(toBytes(images));
}

const keys = Object.fromEntries(Object.entries(drawingOptions).map(([key, flag]) => [flag.slice(2), key]));
const spread = (all) =>
  `${(all.reduce((a, b) => a + b, 0) / all.length).toFixed(3)} (${Math.min(...all).toFixed(3)} to ${Math.max(...all).toFixed(3)})`;
console.log(
  `| ${run} | fd_vqgen, ${seeds.length} seeds (${seeds.join(', ')}), ${n} samples each | class accuracy | pattern, brightness | colour | lattice | seconds |`,
);
console.log('|--|--|--|--|--|--|--|');
for (const setting of positionals) {
  const pairs = setting === 'none' ? [] : setting.split(',').map((pair) => pair.split('='));
  const drawing = Object.fromEntries(
    pairs.map(([name, value]) => [keys[name], Number.isNaN(Number(value)) ? value : Number(value)]),
  );
  const [distances, right, luma, colour, lattice] = [[], [], [], [], []];
  const started = performance.now();
  for (const seed of seeds) {
    const source = await openSource({ run, device, seed, n, reporter: silent, ...drawing });
    const how = { part: { from: 0, to: n }, batch, space, classifier, onPlace: () => {} };
    const drawn = await gatherSamples(observeSamples(source, how), {
      ...{ n, show: 0, size: source.size, width: space.width },
    });
    await source.dispose();
    distances.push(frechetDistance(drawn.moments.gaussian(), real.gaussian()));
    right.push(drawn.classified.right / drawn.classified.images);
    const pattern = patternOf(spectrum, drawn.spectrum);
    luma.push(pattern?.pattern_luma ?? Number.NaN);
    colour.push(pattern?.pattern_colour ?? Number.NaN);
    lattice.push(pattern?.pattern_lattice ?? Number.NaN);
  }
  const seconds = (performance.now() - started) / 1000;
  const shown = [distances, right, luma, colour, lattice].map(spread).join(' | ');
  console.log(`| ${setting} | ${shown} | ${seconds.toFixed(0)} |`);
}
await classifier.dispose();
await space.dispose();
