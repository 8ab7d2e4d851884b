/**
 * 3×3 convolutions of small images with many channels as products of matrices: F(4×4, 3×3) of Lavin & Gray, "Fast Algorithms for Convolutional
 * Neural Networks" (2016), section 4. With d a tile of 6×6 pixels and g a filter, the 4×4 pixels of the result are Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A: 36
 * multiplications where the definition has 144, and for all channels and tiles at once 36 products `[P, C]·[C, O]`, with P tiles.
 *
 * Images lie as `[B, H, W, C]` here: a tile's pixels are then rows of C numbers, and Bᵀ d B of all tiles is one product with Bᵀ ⊗ Bᵀ.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Shape4 } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { OIHW, type Sym, type Tracer } from '../tracer.js';
import { matmul, matmulOverRows } from './matmul.js';
import { gatherRows, pixelRows, rowOf } from './pixel-rows.js';

type ConvInfo = tf.backend_util.Conv2DInfo;

/** Pixels along a side of a tile's result and of the tile. */
const [RESULT, TILE] = [4, 6];

/** Whether a convolution can be computed so and is worth it. */
export function suits(t: Tracer, c: ConvInfo): boolean {
  const { top, left, bottom, right } = c.padInfo;
  const same = [c.strideHeight, c.strideWidth, top, left, bottom, right].every((n) => n === 1);
  const whole = c.outHeight % RESULT === 0 && c.outWidth % RESULT === 0;
  if (c.filterHeight !== 3 || c.filterWidth !== 3 || !same || !whole) return false;
  return t.precision !== 'f16' && t.target.winogradPays(c);
}

/** x `[B, H, W, C]`, filters `[3, 3, C, O]` → `[B, H, W, O]`. */
export function convolution(t: Tracer, x: Sym, filter: Sym, c: ConvInfo): Value {
  return joined(t, matmul(t, tiles(t, x), spread(t, filter, c), { transB: true }), c);
}

/** The gradient of x: dy convolved with the filters turned by 180°, their channels exchanged. */
export function inputGradient(t: Tracer, dy: Sym, filter: Sym, c: ConvInfo): Value {
  return joined(t, matmul(t, tiles(t, dy), spread(t, filter, c, { turned: true })), c);
}

/**
 * The gradient of the filters, `[O, C, 3, 3]`: the adjoints of what makes them a result, in turn. A dy Aᵀ of each tile's result, products of it
 * with the tiles of x, Gᵀ · G.
 */
export function filterGradient(t: Tracer, x: Sym, dy: Sym, c: ConvInfo): Value {
  const [into, out] = [c.inChannels, c.outChannels];
  const products = matmulOverRows(t, tilesOfResult(t, dy), tiles(t, x), { transA: true }); // [36, O, C]
  const flat = t.reshape(products, [TILE ** 2, out * into]);
  return t.reshape(matmul(t, flat, squared(t, 'G', G), { transA: true }), [out, into, 3, 3]);
}

/** Bᵀ d B of all tiles d of x `[B, H, W, C]` → `[36, P, C]`. */
const tiles = (t: Tracer, x: Sym): Value =>
  ofTiles(t, x, { side: TILE, margin: (TILE - RESULT) / 2, matrix: squared(t, 'Bᵀ', BT) });

/** A m Aᵀ of all results m of tiles in y `[B, H, W, O]` → `[36, P, O]`. */
const tilesOfResult = (t: Tracer, y: Sym): Value =>
  ofTiles(t, y, { side: RESULT, margin: 0, matrix: squared(t, 'A', A) });

interface Tiling {
  readonly side: number;
  /** Pixels by which a tile reaches over its result. */
  readonly margin: number;
  /** What becomes of a tile's pixels. */
  readonly matrix: Value;
}

/** Gathered, since ONNX Runtime would make one slow Transpose of those to and among tiles. */
function ofTiles(t: Tracer, image: Sym, { side, margin, matrix }: Tiling): Value {
  const [batch, height, width, channels] = image.shape as Shape4;
  const count = (batch * height * width) / RESULT ** 2;
  const index = t.graph.derived(undefined, `rows of tiles of ${side} in ${[batch, height, width]}`, () =>
    t.graph.constant('int32', [side ** 2 * count], rowsOfTiles([batch, height, width], side, margin)),
  );
  const pixels = t.reshape(gatherRows(t, pixelRows(t, image), index), [side ** 2, count * channels]);
  return t.reshape(matmul(t, matrix, pixels), [TILE ** 2, count, channels]);
}

/** For every place in a tile the pixels of all tiles there. */
function rowsOfTiles(image: readonly [number, number, number], side: number, margin: number): Int32Array {
  const [batch, height, width] = image;
  const index: number[] = [];
  for (let i = -margin; i < side - margin; i++)
    for (let j = -margin; j < side - margin; j++)
      for (let b = 0; b < batch; b++)
        for (let y = 0; y < height; y += RESULT)
          for (let x = 0; x < width; x += RESULT) index.push(rowOf(image, [b, y + i, x + j]));
  return Int32Array.from(index);
}

/** G g Gᵀ of filters `[3, 3, C, O]` → `[36, O, C]`; of those `turned` by 180° with the order of a filter's nine numbers reversed. */
function spread(t: Tracer, filter: Sym, c: ConvInfo, { turned = false } = {}): Value {
  const [into, out] = [c.inChannels, c.outChannels];
  const taps = t.reshape(t.as(filter, OIHW), [out * into, 9]);
  const matrix = turned ? squared(t, 'G turned', TURNED) : squared(t, 'G', G);
  return t.reshape(matmul(t, matrix, taps, { transB: true }), [TILE ** 2, out, into]);
}

/** Aᵀ m A of products `[36, P, O]` → `[B, H, W, O]`. */
function joined(t: Tracer, products: Value, c: ConvInfo): Value {
  const [, count, channels] = products.shape as [number, number, number];
  const [down, across] = [c.outHeight / RESULT, c.outWidth / RESULT];
  const flat = t.reshape(products, [TILE ** 2, count * channels]);
  const pixels = matmul(t, squared(t, 'A', A), flat, { transA: true });
  const apart = t.reshape(pixels, [RESULT, RESULT, c.batchSize, down, across, channels]);
  const shape = [c.batchSize, down, RESULT, across, RESULT, channels];
  const image = t.graph.op('Transpose', [apart], { perm: [2, 3, 0, 4, 1, 5] }, { shape });
  return t.reshape(image, [c.batchSize, c.outHeight, c.outWidth, channels]);
}

type Matrix = readonly (readonly number[])[];

/**
 * A `[6, 4]`, Bᵀ `[6, 6]` and G `[6, 3]` of Toom and Cook for polynomials through five points and infinity: a point's row of A and of G holds its powers, in G divided
 * by its distances to the other points; of Bᵀ the coefficients of the polynomial that is 0 at the others.
 */
function toomCook(points: readonly number[]): { A: Matrix; BT: Matrix; G: Matrix } {
  const powers = (x: number, n: number) => Array.from({ length: n }, (_, i) => x ** i);
  const others = (x: number) => points.filter((y) => y !== x);
  const distances = (x: number) => others(x).reduce((product, y) => product * (x - y), 1);
  const timesRoot = (p: readonly number[], root: number) =>
    Array.from({ length: p.length + 1 }, (_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0));
  const zeroAt = (roots: readonly number[]) => roots.reduce(timesRoot, [1]);
  return {
    A: [...points.map((x) => powers(x, RESULT)), [0, 0, 0, 1]],
    BT: [...points.map((x) => [...zeroAt(others(x)), 0]), zeroAt(points)],
    G: [...points.map((x) => powers(x, 3).map((power) => power / distances(x))), [0, 0, 1]],
  };
}

/**
 * Points at which rounding is 1.4·10⁻⁶ of the result's size (root mean square, 256 channels); at the paper's 0, ±1 and ±2 it is 2.9·10⁻⁶. A and B are
 * fractions of powers of two, which float32 holds exactly.
 */
const { A, BT, G } = toomCook([0, 0.75, -0.75, 1.5, -1.5]);
const TURNED = G.map((row) => row.toReversed());

/** m ⊗ m: what m does along rows and columns, to all numbers of a tile at once. */
function squared(t: Tracer, name: string, m: Matrix): Value {
  return t.graph.derived(undefined, `Winograd's ${name} twice`, () => {
    const values = m.flatMap((a) => m.flatMap((b) => a.flatMap((x) => b.map((y) => x * y))));
    const rows = m.length ** 2;
    return t.graph.constant('float32', [rows, values.length / rows], Float32Array.from(values));
  });
}
