/** A sheet of codes → a picture as large as it is, decoded part after part. */
import { must } from '../base/lookup.js';
import { int32 } from '../base/tensor.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { snap } from '../data/map-labels.js';
import { type Picture, toBytes } from '../data/pictures.js';
import type { Device, Graph } from '../engine/device.js';
import { decodePartProgram, sightOf } from '../stage1-vqgan/parts.js';
import { unknown } from '../stage2-transformer/canvas.js';
import { type Part, partOf, type Sheet } from './code-sheet.js';
import { stepInOrder, windowsFrom } from './windows.js';

interface Models {
  readonly config: Config;
  readonly tokenizer: TrainedModel;
  readonly device: Device;
}

/** Cells of a part between those that it only sees. */
const inside = 16;

/**
 * Where a decoder sees only so far, parts are what decoding at once would give them, and are cut so that they meet.
 * Of another each part is of the trained size, as the decoder knows it, and mixes with those that it overlaps.
 *
 * @param sheet cells that are unknown are white, as is what else of a part they act on
 */
export async function decodeSheet(sheet: Sheet, models: Models): Promise<Picture> {
  const sight = sightOf(models.config);
  return sight === undefined ? mixed(sheet, models) : exact(sheet, models, sight);
}

async function exact(sheet: Sheet, models: Models, sight: number): Promise<Picture> {
  const { rows, columns } = sheet;
  const extent = (all: number) => Math.min(all, 2 * sight + inside);
  const part = { rows: extent(rows), columns: extent(columns) };
  const picture = blank(sheet, models.config);
  const graph = await opened(models, part);
  try {
    for (const { at: top, from: firstRow, to: lastRow } of spans(rows, part.rows, sight)) {
      for (const { at: left, from, to } of spans(columns, part.columns, sight)) {
        const data = toBytes(await decoded(graph, sheet, { left, top, ...part }));
        copy(picture, data, {
          ...{ cell: picture.width / columns, width: part.columns, left, top },
          kept: { left: from, right: to, top: firstRow, bottom: lastRow },
        });
      }
    }
  } finally {
    await graph.dispose();
  }
  return whitened(picture, sheet);
}

/** Places of parts along a side, and the cells that each gives: all but those for which it does not see far enough. */
function spans(all: number, part: number, sight: number): { at: number; from: number; to: number }[] {
  const found: { at: number; from: number; to: number }[] = [];
  for (let from = 0; from < all; ) {
    const at = Math.min(all - part, Math.max(0, from - sight));
    const to = at + part === all ? all : at + part - sight;
    found.push({ at, from, to });
    from = to;
  }
  return found;
}

/** @param o.cell pixels. @param o.width cells of a row of `data`. @param o.kept cells of the sheet that it gives */
function copy(
  picture: Picture,
  data: Uint8Array,
  o: {
    cell: number;
    width: number;
    left: number;
    top: number;
    kept: { left: number; right: number; top: number; bottom: number };
  },
): void {
  const { cell, width, left, top, kept } = o;
  const length = (kept.right - kept.left) * cell;
  for (let y = kept.top * cell; y < kept.bottom * cell; y++) {
    const from = (y - top * cell) * width * cell + (kept.left - left) * cell;
    picture.data.set(
      data.subarray(3 * from, 3 * (from + length)),
      3 * (y * picture.width + kept.left * cell),
    );
  }
}

async function mixed(sheet: Sheet, models: Models): Promise<Picture> {
  const { rows, columns, side } = sheet;
  const part = { rows: Math.min(rows, side), columns: Math.min(columns, side) };
  const picture = blank(sheet, models.config);
  const cell = picture.width / columns;
  const sums = new Float32Array(picture.data.length);
  const weights = new Float32Array(picture.data.length / 3);
  const graph = await opened(models, part);
  try {
    const extent = { rows: Math.max(rows, side), columns: Math.max(columns, side), side };
    for (const { left, top } of windowsFrom({ left: 0, top: 0 }, extent, stepInOrder(side))) {
      const { data } = await decoded(graph, sheet, { left, top, ...part });
      const [tall, wide] = [part.rows * cell, part.columns * cell];
      for (let y = 0; y < tall; y++) {
        for (let x = 0; x < wide; x++) {
          const weight = Math.min(y + 1, tall - y) * Math.min(x + 1, wide - x);
          const to = (top * cell + y) * picture.width + left * cell + x;
          weights[to]! += weight;
          for (let c = 0; c < 3; c++) sums[3 * to + c]! += weight * data[3 * (y * wide + x) + c]!;
        }
      }
    }
  } finally {
    await graph.dispose();
  }
  for (let i = 0; i < sums.length; i++) sums[i]! /= weights[Math.floor(i / 3)]!;
  picture.data.set(toBytes({ dtype: 'float32', shape: [sums.length], data: sums }));
  const { labels } = models.config.data;
  if (labels.length > 0) snap(picture.data, labels);
  return whitened(picture, sheet);
}

function blank({ rows, columns, side }: Sheet, { data: { size } }: Config): Picture {
  const cell = size / side;
  const [width, height] = [columns * cell, rows * cell];
  return { width, height, data: new Uint8Array(width * height * 3) };
}

const opened = ({ device, config, tokenizer }: Models, part: { rows: number; columns: number }) =>
  device.prepare(decodePartProgram(config, tokenizer.tensors, part));

async function decoded(graph: Graph<never, 'images'>, sheet: Sheet, part: Part) {
  const codes = partOf(sheet, part);
  const inputs = sheet.grids.map(({ name, height }) => {
    const finer = height / sheet.side;
    const known = must(codes[name], name).map((code) => (code === unknown ? 0 : code));
    return [name, int32([1, part.rows * finer, part.columns * finer], known)] as const;
  });
  const { images } = await graph.run(Object.fromEntries(inputs));
  return images;
}

/** White where a cell of any grid is unknown. */
function whitened(picture: Picture, sheet: Sheet): Picture {
  for (const [i, { height }] of sheet.grids.entries()) {
    const codes = must(sheet.codes[i], 'codes');
    if (!codes.includes(unknown)) continue;
    const width = (sheet.columns * height) / sheet.side;
    const cell = picture.width / width;
    for (const [at, code] of codes.entries()) {
      if (code !== unknown) continue;
      for (let y = Math.floor(at / width) * cell, end = y + cell; y < end; y++) {
        const from = y * picture.width + (at % width) * cell;
        picture.data.fill(255, 3 * from, 3 * (from + cell));
      }
    }
  }
  return picture;
}
