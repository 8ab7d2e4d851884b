/**
 * How a convolution of stride 1 is computed as products of matrices: which pixels go into which tile, and where its
 * results go.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { rowOf } from './pixel-rows.js';
import { kronecker, type Matrix, type ToomCook, toomCook } from './toom-cook.js';

/** One axis of the image. */
export interface Axis {
  readonly taps: number;
  /** Zeros before the image. */
  readonly before: number;
  readonly into: number;
  readonly out: number;
  /**
   * Pixels of the result in a tile; with one, the axis is computed by definition, and the pixels under the filter
   * stand in a row.
   */
  readonly result: number;
}

export interface Plan {
  readonly batch: number;
  readonly rows: Axis;
  readonly columns: Axis;
  readonly into: number;
  readonly out: number;
  /** Tiles in the batch, and one of zeros behind them. */
  readonly count: number;
}

type ConvInfo = tf.backend_util.Conv2DInfo;

/** @param results pixels of the result in a tile, along rows and columns */
export function planOf(c: ConvInfo, results: readonly [number, number]): Plan {
  const { padInfo } = c;
  const axis = (taps: number, before: number, into: number, out: number, result: number): Axis => ({
    taps,
    before,
    into,
    out,
    result,
  });
  const rows = axis(c.filterHeight, padInfo.top, c.inHeight, c.outHeight, results[0]);
  const columns = axis(c.filterWidth, padInfo.left, c.inWidth, c.outWidth, results[1]);
  if (!tiled(rows) && rows.taps > 1 && tiled(columns))
    throw new Error('internal: tiles along columns alone are for filters of one row');
  const count = c.batchSize * tilesAlong(rows) * tilesAlong(columns) + 1;
  return { batch: c.batchSize, rows, columns, into: c.inChannels, out: c.outChannels, count };
}

const tiled = ({ result }: Axis): boolean => result > 1;
const tilesAlong = ({ out, result }: Axis): number => Math.ceil(out / result);
/** Pixels of the image in a tile, and pixels that stand in a row for one product. */
const side = (axis: Axis): number => (tiled(axis) ? axis.result + axis.taps - 1 : 1);
const inRow = (axis: Axis): number => (tiled(axis) ? 1 : axis.taps);

export const isTiled = ({ rows, columns }: Plan): boolean => tiled(rows) || tiled(columns);
/** 1×1 filters: every pixel stands by itself. */
export const isOfSinglePixels = ({ rows, columns }: Plan): boolean => rows.taps * columns.taps === 1;
export const pixelsOut = ({ batch, rows, columns }: Plan): number => batch * rows.out * columns.out;
export const placesInTile = ({ rows, columns }: Plan): number => side(rows) * side(columns);
export const pixelsInRow = ({ rows, columns }: Plan): number => inRow(rows) * inRow(columns);
export const tiledTaps = (plan: Plan): number => (plan.rows.taps * plan.columns.taps) / pixelsInRow(plan);

/** What a matrix does to all numbers of a tile at once. */
export function matrixOf({ rows, columns }: Plan, name: keyof ToomCook): Matrix {
  const along = (axis: Axis): Matrix => (tiled(axis) ? toomCook(axis.result, axis.taps)[name] : [[1]]);
  return kronecker(along(rows), along(columns));
}

function* tilesOf({ batch, rows, columns }: Plan): Generator<[b: number, y: number, x: number]> {
  for (let b = 0; b < batch; b++)
    for (let y = 0; y < rows.out; y += rows.result)
      for (let x = 0; x < columns.out; x += columns.result) yield [b, y, x];
}

function* places(high: number, wide: number): Generator<[i: number, j: number]> {
  for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) yield [i, j];
}

/** Rows of the image, behind which is one of zeros: `[places in a tile, P, pixels in a row]`. */
export function tilesOfImage(plan: Plan): Int32Array {
  const { batch, rows, columns } = plan;
  const image = [batch, rows.into, columns.into] as const;
  const index: number[] = [];
  for (const [i, j] of places(side(rows), side(columns))) {
    for (const [b, y, x] of tilesOf(plan))
      for (const [k, l] of places(inRow(rows), inRow(columns)))
        index.push(rowOf(image, [b, y + i + k - rows.before, x + j + l - columns.before]));
    if (isTiled(plan)) for (let n = 0; n < pixelsInRow(plan); n++) index.push(rowOf(image, OUTSIDE));
  }
  return Int32Array.from(index);
}

const OUTSIDE = [0, -1, -1] as const;

/** Rows of the result, behind which is one of zeros: `[results of a tile, P]`. */
export function tilesOfResult(plan: Plan): Int32Array {
  const { batch, rows, columns } = plan;
  const image = [batch, rows.out, columns.out] as const;
  const index: number[] = [];
  for (const [i, j] of places(rows.result, columns.result)) {
    for (const [b, y, x] of tilesOf(plan)) index.push(rowOf(image, [b, y + i, x + j]));
    index.push(rowOf(image, OUTSIDE));
  }
  return Int32Array.from(index);
}

/** Where in `[results of a tile, P]` the pixels of the result are, in their order. */
export function pixelsOfResult({ batch, rows, columns, count }: Plan): Int32Array {
  const index: number[] = [];
  for (let b = 0; b < batch; b++)
    for (const [y, x] of places(rows.out, columns.out)) {
      const place = (y % rows.result) * columns.result + (x % columns.result);
      const down = b * tilesAlong(rows) + Math.floor(y / rows.result);
      index.push(place * count + down * tilesAlong(columns) + Math.floor(x / columns.result));
    }
  return Int32Array.from(index);
}

/** Where a pixel of the image is in tiles. */
interface Place {
  readonly tile: number;
  readonly inTile: number;
  readonly inRow: number;
}

function placesAlong(axis: Axis, at: number): Place[] {
  const found: Place[] = [];
  for (let tile = 0; tile < tilesAlong(axis); tile++) {
    const offset = at + axis.before - tile * axis.result;
    if (offset < 0 || offset >= (tiled(axis) ? side(axis) : axis.taps)) continue;
    found.push({ tile, inTile: tiled(axis) ? offset : 0, inRow: tiled(axis) ? 0 : offset });
  }
  return found;
}

/**
 * Where in `[places in a tile, P, pixels in a row]` every pixel of the image is, `[times, pixels]`: as many times as
 * any is; the others have the tile of zeros for what they lack.
 */
export function placesOfImage({ batch, rows, columns, count }: Plan): Int32Array {
  const along = (axis: Axis) => Array.from({ length: axis.into }, (_, at) => placesAlong(axis, at));
  const [down, across] = [along(rows), along(columns)];
  const longest = (lists: readonly Place[][]) => Math.max(...lists.map((list) => list.length));
  const at = (inTile: number, tile: number, offset: number) =>
    (inTile * count + tile) * inRow(rows) * inRow(columns) + offset;
  const pixels = batch * rows.into * columns.into;
  const index = new Int32Array(longest(down) * longest(across) * pixels).fill(at(0, count - 1, 0));
  let pixel = 0;
  for (let b = 0; b < batch; b++)
    for (const high of down)
      for (const wide of across) {
        let next = pixel++;
        for (const y of high)
          for (const x of wide) {
            const tile = (b * tilesAlong(rows) + y.tile) * tilesAlong(columns) + x.tile;
            const place = y.inTile * side(columns) + x.inTile;
            index[next] = at(place, tile, y.inRow * inRow(columns) + x.inRow);
            next += pixels;
          }
      }
  return index;
}
