// Label maps and pictures in cells of 8 × 8 pixels, and patches about them, for follows-maps.mjs.
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { float32 } from '../dist/base/tensor.js';
import { hexOf } from '../dist/data/map-labels.js';
import { stemOf } from '../dist/data/maps.js';
import { readCovering } from '../dist/data/reading.js';

export const cell = 8;

/** Files of a folder, or one: at most `n`, spread over it. */
export async function filesOf(place, n) {
  const stat = await fs.stat(place);
  const names = stat.isDirectory() ? (await fs.readdir(place)).sort() : [''];
  const count = Math.min(n, names.length);
  return Array.from({ length: count }, (_, i) =>
    path.join(place, names[Math.floor((i * names.length) / count)]),
  );
}

export const nameOf = (file) => stemOf(path.basename(file));

/** Looks up the picture of a map, which has its name, whatever its ending. */
export async function picturesIn(folder) {
  const byStem = new Map((await fs.readdir(folder)).map((name) => [stemOf(name), name]));
  return (map) => {
    const name = byStem.get(nameOf(map));
    if (!name) throw new Error(`${folder} has no picture for ${map}`);
    return path.join(folder, name);
  };
}

/** A map's cells row by row: place, pixels of each colour, the colour of most. */
export async function cellsOf(file) {
  const { width, height } = await sharp(file).metadata();
  const map = await readCovering(file, { width, height }, 'labels');
  const columns = Math.floor(width / cell);
  let [last, colour] = [0, hexOf(map[0], map[1], map[2])];
  const cells = Array.from({ length: columns * Math.floor(height / cell) }, (_, i) => {
    const [left, top] = [(i % columns) * cell, Math.floor(i / columns) * cell];
    const counts = {};
    for (let y = top; y < top + cell; y++)
      for (let at = 3 * (y * width + left), end = at + 3 * cell; at < end; at += 3) {
        const isSame = [0, 1, 2].every((c) => map[at + c] === map[last + c]);
        if (!isSame) colour = hexOf(map[at], map[at + 1], map[at + 2]);
        last = at;
        counts[colour] = (counts[colour] ?? 0) + 1;
      }
    return {
      left,
      top,
      counts,
      colour: Object.keys(counts).reduce((a, b) => (counts[b] > counts[a] ? b : a)),
    };
  });
  return { file, extent: { width, height }, cells };
}

/**
 * [n, C, C, 3] about cells; beyond its border a picture is mirrored.
 *
 * @param o.context C, pixels. @param o.surround contrast of what is more than a cell from the middle
 */
export function patches(image, { width, height }, cells, { context, surround }) {
  const within = (k, side) => (k < 0 ? -k - 1 : k >= side ? 2 * side - 1 - k : k);
  const away = (k) => Math.abs(k + 0.5 - context / 2);
  const margin = (context - cell) / 2;
  const result = float32([cells.length, context, context, 3]);
  let to = 0;
  for (const { left, top } of cells)
    for (let y = 0; y < context; y++)
      for (let x = 0; x < context; x++) {
        const row = within(top + y - margin, height) * width;
        const from = 3 * (row + within(left + x - margin, width));
        const contrast = Math.max(away(x), away(y)) < cell ? 1 : surround;
        for (let c = 0; c < 3; c++) result.data[to++] = contrast * image[from + c];
      }
  return result;
}

/**
 * [H, W, 3] as if the picture had been smaller.
 *
 * @param share of its sides that is left of it before it is enlarged again
 */
export async function softened(image, { width, height }, share) {
  const raw = { raw: { width, height, channels: 3 } };
  const bytes = Uint8Array.from(image, (value) => Math.round((value + 1) * 127.5));
  const small = await sharp(bytes, raw)
    .resize(Math.round(share * width), Math.round(share * height), { kernel: 'lanczos3' })
    .png()
    .toBuffer();
  const again = await sharp(small).resize(width, height, { kernel: 'cubic' }).raw().toBuffer();
  return Float32Array.from(again, (value) => value / 127.5 - 1);
}
