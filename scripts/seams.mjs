// node scripts/seams.mjs --picture FILE [--real FOLDER] [--cell 8] [--window 128] [--anywhere]: whether windows of
// `vqgen sample --size` meet without a seam. Mean absolute difference of neighbouring pixels across the lines where
// cells of different windows meet, as a ratio to that across the other lines between cells, and to that across all
// lines; steps to the right, down, and both. Where windows meet is found by laying them out as the sampler does:
// --window and --cell are the pixels of a trained picture and of its code, --anywhere is for a prior that does not draw
// in order (maskgit). Below it the same ratio, of brightness, for lines moved by 1, 2, … cells, where nothing meets:
// what chance and the picture's contents do. --real: photographs, in which lines between cells mean nothing.
import fs from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { stepAnywhere, stepInOrder, windowsFrom } from '../dist/sample/windows.js';

const { values } = parseArgs({
  options: {
    ...{ picture: { type: 'string', multiple: true, default: [] }, real: { type: 'string' } },
    ...{ cell: { type: 'string', default: '8' }, window: { type: 'string', default: '128' } },
    anywhere: { type: 'boolean', default: false },
  },
});
const [cell, window] = [Number(values.cell), Number(values.window)];
const side = window / cell;
const step = (values.anywhere ? stepAnywhere : stepInOrder)(side);

/** [h, w, 4]: brightness, red, green, blue. */
async function channelsOf(file) {
  const image = sharp(file).flatten({ background: 'white' }).toColourspace('srgb');
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const pixels = new Float32Array(info.width * info.height * 4);
  for (let i = 0; i < pixels.length / 4; i++) {
    const [r, g, b] = data.subarray(info.channels * i, info.channels * i + 3);
    pixels.set([0.299 * r + 0.587 * g + 0.114 * b, r, g, b], 4 * i);
  }
  return { width: info.width, height: info.height, pixels };
}

/** Which window drew the cell of a pixel: the first that covers it. */
function drawnBy({ width, height }) {
  const extent = (pixels) => Math.max(side, Math.ceil(pixels / cell));
  const [rows, columns] = [extent(height), extent(width)];
  const owners = new Int32Array(rows * columns).fill(-1);
  for (const [i, { left, top }] of windowsFrom({ left: 0, top: 0 }, { rows, columns, side }, step).entries())
    for (let y = top; y < top + side; y++)
      for (let x = left; x < left + side; x++) if (owners[y * columns + x] < 0) owners[y * columns + x] = i;
  return (x, y) => owners[Math.floor(y / cell) * columns + Math.floor(x / cell)];
}

const kinds = ['seams', 'borders', 'others'];
const directions = { right: [1, 0], down: [0, 1] };
const blank = () => Object.fromEntries(kinds.map((kind) => [kind, { sum: [0, 0, 0, 0], count: 0 }]));

/** Sums of differences across lines of each kind, where windows met `moved` pixels further right and down. */
function differences({ width, height, pixels }, moved, into) {
  const owner = drawnBy({ width, height });
  for (const [name, [right, down]] of Object.entries(directions))
    for (let y = down; y < height; y++)
      for (let x = right; x < width; x++) {
        const [u, v] = [x - moved * right, y - moved * down];
        const isBorder = (right ? x : y) % cell === 0;
        const isSeam = isBorder && u >= right && v >= down && owner(u, v) !== owner(u - right, v - down);
        const of = into[name][isSeam ? 'seams' : isBorder ? 'borders' : 'others'];
        of.count++;
        const [at, before] = [4 * (y * width + x), 4 * ((y - down) * width + x - right)];
        for (let c = 0; c < 4; c++) of.sum[c] += Math.abs(pixels[at + c] - pixels[before + c]);
      }
}

function measured(pictures, moved = 0) {
  const found = { right: blank(), down: blank(), both: blank() };
  for (const picture of pictures) differences(picture, moved, found);
  for (const kind of kinds)
    for (const { [kind]: part } of [found.right, found.down]) {
      found.both[kind].count += part.count;
      part.sum.forEach((value, c) => {
        found.both[kind].sum[c] += value;
      });
    }
  return found;
}

/** Of the means across lines of these kinds. */
function ratio(sums, above, below, c) {
  const mean = (names) =>
    names.reduce((s, name) => s + sums[name].sum[c], 0) / names.reduce((s, name) => s + sums[name].count, 0);
  return mean(above) / mean(below);
}

function report(title, pictures) {
  console.log(`\n| ${title} | brightness | red | green | blue |\n|--|--|--|--|--|`);
  const here = measured(pictures);
  const hasSeams = here.both.seams.count > 0;
  const row = (name, above, below, sums) =>
    console.log(
      `| ${name} | ${[0, 1, 2, 3].map((c) => ratio(sums, above, below, c).toFixed(3)).join(' | ')} |`,
    );
  for (const [name, sums] of Object.entries(here)) {
    if (hasSeams) row(`${name}: seams / other cell borders`, ['seams'], ['borders'], sums);
    if (hasSeams) row(`${name}: seams / all lines`, ['seams'], kinds, sums);
    row(`${name}: cell borders / all other lines`, ['seams', 'borders'], ['others'], sums);
  }
  if (!hasSeams) return;
  const all = Array.from({ length: step - 1 }, (_, i) => measured(pictures, (i + 1) * cell));
  for (const name of Object.keys(here)) {
    const moved = all.map((sums) => ratio(sums[name], ['seams'], ['borders'], 0).toFixed(3));
    console.log(`\n${name}, of lines moved by 1 to ${step - 1} cells: ${moved.join(', ')}`);
  }
}

for (const file of values.picture) report(file, [await channelsOf(file)]);
if (values.picture.length > 1) report('all pictures', await Promise.all(values.picture.map(channelsOf)));
if (values.real) {
  const names = (await fs.readdir(values.real)).sort();
  report(values.real, await Promise.all(names.map((name) => channelsOf(path.join(values.real, name)))));
}
