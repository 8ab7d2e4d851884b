// node scripts/keeps-colours.mjs --condition FOLDER --drawn DIR --size S [--side 8]: how well pictures that a prior drew of
// low resolution (vqgen sample --condition FOLDER of a run told lowres) keep it. Reduced again to side × side means,
// each is compared with its photograph, NAME.jpg with NAME-0000.png and so on: the mean absolute error, of values from 0
// to 1, and beside it that against the next photograph in place of its own.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readEvalImage } from '../dist/data/reading.js';
import { cellMeans } from '../dist/tokenize/conditions/lowres.js';

const { values } = parseArgs({
  options: {
    ...{ condition: { type: 'string' }, drawn: { type: 'string' }, size: { type: 'string' } },
    side: { type: 'string', default: '8' },
  },
});
const [size, side] = [Number(values.size), Number(values.side)];
const reduced = async (file) =>
  cellMeans((await readEvalImage(file, size)).data, size, side).map((value) => (value + 1) / 2);

const photographs = fs.readdirSync(values.condition).sort();
const stems = photographs.map((name) => path.parse(name).name);
const means = await Promise.all(photographs.map((name) => reduced(path.join(values.condition, name))));
const errorOf = (a, b) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;
const errors = { own: [], next: [] };
for (const file of fs.readdirSync(values.drawn)) {
  const stem = /^(.+)-\d{4}\.png$/.exec(file)?.[1];
  const i = stems.indexOf(stem);
  if (i < 0) continue;
  const drawn = await reduced(path.join(values.drawn, file));
  errors.own.push(errorOf(drawn, means[i]));
  errors.next.push(errorOf(drawn, means[(i + 1) % means.length]));
}
const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
console.log(
  `${errors.own.length} draws of ${stems.length} photographs, ${side} × ${side}: mean absolute error ` +
    `${mean(errors.own).toFixed(4)} (worst ${Math.max(...errors.own).toFixed(4)}), of the next photograph's ` +
    `${mean(errors.next).toFixed(4)}`,
);
