// Whether drawn pictures follow their maps, by a judge that saw real pairs only: a classifier of patches about the
// 8 × 8 pixels of a map's cell (one code of an f8 tokenizer), their surroundings fainter.
//
//   node scripts/follows-maps.mjs cut --images train/images --maps train/maps --out patches/train [--cap 8000]
//   node scripts/follows-maps.mjs cut --images test/images --maps test/maps --out patches/test --cap 400
//   vqgen train-perceptual --data patches/train --val patches/test --out judge --steps 2500
//   node scripts/follows-maps.mjs judge --classifier judge --maps test/maps [--images test/images] [--drawn DIR]
//
// Both take [--context 32] (pixels of a patch) and [--surround 0.5] (contrast of all but its middle), which must be the
// same. `cut` writes at most --cap patches of each class, of cells of which three quarters are one class, into a folder
// for each; every second one is softened, as if its picture had been smaller: a classifier of sharp ones alone tells
// houses from land by the finest grain, and no longer once real pictures are shrunk by a quarter and enlarged again.
// DIR holds what `vqgen sample --condition test/maps` drew. `judge` says for each class of how many cells it
// finds the map's class in real pictures, of how many of those in drawn ones too, and of how many were the drawn ones
// dealt to other maps; without real pictures, of how many of all. --n N: so many maps, spread over the folder.
import fs from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { permutation, stream } from '../dist/base/rng.js';
import { encodePng, toBytes } from '../dist/data/pictures.js';
import { readCovering } from '../dist/data/reading.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { openClassifier } from '../dist/perceptual/classifier.js';
import { joined } from '../dist/sample/out.js';
import { cell, cellsOf, filesOf, nameOf, patches, picturesIn, softened } from './map-patches.mjs';

const text = (standard) => ({ type: 'string', default: standard });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...{ images: text(), maps: text(), drawn: text(), classifier: text(), out: text(), n: text('1000000') },
    ...{ cap: text('8000'), seed: text('0'), without: text('9b9b9b,000000'), threads: text('2') },
    ...{ context: text('32'), surround: text('0.5') },
  },
});
const view = { context: Number(values.context), surround: Number(values.surround) };
const maps = await filesOf(values.maps, Number(values.n));
/** What is left of a softened picture's sides. */
const softer = [0.4, 0.55, 0.7, 0.85];
/** Of a folder. */
const classOf = (colour) => colour.slice(1);

async function cut() {
  const byClass = {};
  for (const map of maps) {
    const { extent, cells } = await cellsOf(map);
    for (const place of cells) {
      const name = classOf(place.colour);
      if (place.counts[place.colour] < 0.75 * cell ** 2 || values.without.includes(name)) continue;
      byClass[name] ??= [];
      byClass[name].push({ map, extent, name, ...place });
    }
  }
  const byMap = new Map(maps.map((map) => [map, []]));
  for (const [name, all] of Object.entries(byClass)) {
    await fs.mkdir(path.join(values.out, name), { recursive: true });
    const order = [...permutation(all.length, stream(Number(values.seed), 'cut', name))];
    for (const i of order.slice(0, Number(values.cap))) byMap.get(all[i].map).push(all[i]);
    console.log(`${name}: ${Math.min(all.length, Number(values.cap))} of ${all.length} cells`);
  }
  const pictureOf = await picturesIn(values.images);
  const draws = stream(Number(values.seed), 'soften');
  for (const [map, places] of byMap) {
    if (places.length === 0) continue;
    const image = await readCovering(pictureOf(map), places[0].extent, 'photographs');
    const seen = [
      image,
      ...(await Promise.all(softer.map((share) => softened(image, places[0].extent, share)))),
    ];
    for (const place of places) {
      const kind = draws.below(2) === 0 ? 0 : 1 + draws.below(softer.length);
      const data = toBytes(patches(seen[kind], place.extent, [place], view));
      const png = await encodePng({ width: view.context, height: view.context, data });
      const file = `${nameOf(map)}-${place.left}-${place.top}.png`;
      await fs.writeFile(path.join(values.out, place.name, file), png);
    }
  }
}

async function judge() {
  const classifier = await openClassifier(onnxDevice({ threads: Number(values.threads) }), values.classifier);
  const seenIn = async (file, { extent, cells }) => {
    const image = await readCovering(file, extent, 'photographs');
    return (await classifier.classify(patches(image, extent, cells, view))).classes.map((name) => `#${name}`);
  };
  const realOf = values.images && (await picturesIn(values.images));
  const files = values.drawn ? await fs.readdir(values.drawn) : [];
  const pairs = [];
  for (const file of maps) {
    const map = await cellsOf(file);
    const stem = `${joined([nameOf(file)])}-`;
    const drawn = [];
    for (const name of files)
      if (name.startsWith(stem) && /^\d+\.png$/.test(name.slice(stem.length)))
        drawn.push(await seenIn(path.join(values.drawn, name), map));
    pairs.push({ ...map, drawn, real: realOf && (await seenIn(realOf(file), map)) });
  }
  await classifier.dispose();
  // Not to the next map: neighbours in a folder are often of one place.
  const far = Math.floor(pairs.length / 2);
  const dealt = pairs.map((pair, i) => ({ ...pair, drawn: pairs[(i + far) % pairs.length].drawn }));
  const colours = classifier.classes.map((name) => `#${name}`);
  const [own, others] = [tally(pairs, colours), tally(dealt, colours)];
  const shares = Object.entries(own).map(([name, { all, found, asked, both }]) => ({
    ...{ name, all, found: found / all },
    ...{ both: both / asked, others: others[name].both / others[name].asked },
  }));
  const known = shares.filter(({ name, all }) => all > 0 && colours.includes(name));
  const mean = (key) => known.reduce((sum, share) => sum + share[key], 0) / known.length;
  const row = {
    name: 'mean of classes',
    all: '',
    found: mean('found'),
    both: mean('both'),
    others: mean('others'),
  };
  const drawings = pairs.reduce((sum, { drawn }) => sum + drawn.length, 0);
  console.log(
    `| ${pairs.length} maps, ${drawings} drawn | cells | found in real, % | of these in drawn | dealt to others |`,
  );
  console.log('|--|--|--|--|--|');
  const percent = (share) => (Number.isNaN(share) ? '–' : (100 * share).toFixed(1));
  for (const { name, all, found, both, others } of [...shares, row])
    console.log(
      `| ${name} | ${all} | ${percent(realOf ? found : NaN)} | ${percent(both)} | ${percent(others)} |`,
    );
}

/**
 * Of each colour, of all cells and of all pixels: how many, how many found in real pictures, how often these are asked
 * for in drawn ones, and how often found there. A pixel is found where its cell is taken for its class.
 */
function tally(pairs, colours) {
  const names = [...colours, 'all cells', 'all pixels'];
  const sums = Object.fromEntries(names.map((name) => [name, { all: 0, found: 0, asked: 0, both: 0 }]));
  const add = (name, all, found, both) => {
    sums[name].all += all;
    sums[name].found += found;
    sums[name].asked += found * both.length;
    sums[name].both += both.reduce((sum, part) => sum + part, 0);
  };
  for (const { cells, real, drawn } of pairs)
    for (const [i, { counts, colour }] of cells.entries()) {
      const pixels = colours.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
      const alike = drawn.map((seen) => !real || seen[i] === real[i]);
      const shown = drawn.map((seen, k) => (alike[k] ? (counts[seen[i]] ?? 0) : 0));
      add('all pixels', pixels, real ? (counts[real[i]] ?? 0) : pixels, shown);
      if (!colours.includes(colour)) continue;
      const right = drawn.map((seen, k) => Number(alike[k] && seen[i] === colour));
      for (const name of [colour, 'all cells']) add(name, 1, Number(!real || real[i] === colour), right);
    }
  return sums;
}

await { cut, judge }[positionals[0]]();
