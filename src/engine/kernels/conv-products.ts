/**
 * Convolutions of stride 1 as products of matrices over all pixels of a batch at once. Along either axis of the image
 * they are computed by their definition, or in tiles of a few pixels by fewer multiplications (`toom-cook.ts`): a
 * tile's pixels become N numbers for N products `[P, C]·[C, O]`, with P tiles. Along an axis without tiles the pixels
 * under the filter stand in a row, `[P, taps·C]·[taps·C, O]`.
 *
 * Images lie as `[B, H, W, C]`, in rows of C numbers. What is made of image, filter and result for one of the three
 * (the convolution, the gradient of the image, that of the filter) serves the others: it is computed once.
 */
import { sizeOf } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { filterOrder, OIHW, type Sym, type Tracer } from '../tracer.js';
import type { Plan } from './conv-plan.js';
import * as plans from './conv-plan.js';
import { matmul, matmulOverRows } from './matmul.js';
import { gatherRows, pixelRows } from './pixel-rows.js';
import type { ToomCook } from './toom-cook.js';

/** x `[B, H, W, C]`, filter `[kh, kw, C, O]`, bias `[O]` → `[B, H', W', O]`. */
export function convolution(t: Tracer, plan: Plan, x: Sym, filter: Sym, bias?: Value): Value {
  const { value: weights, transB } = spread(t, plan, filter);
  const image = tilesOfImage(t, plan, x);
  const pixels = plans.pixelsOut(plan);
  const shape = [plan.batch, plan.rows.out, plan.columns.out, plan.out];
  if (!plans.isTiled(plan)) {
    const factors = [image, weights].map((v) => t.reshape(v, v.shape.slice(1)));
    const attrs = { transB: Number(transB) };
    const y = t.graph.op('Gemm', bias ? [...factors, bias] : factors, attrs, { shape: [pixels, plan.out] });
    return t.reshape(y, shape);
  }
  const results = transformed(t, plan, 'A', matmul(t, image, weights, { transB }), { transposed: true });
  const index = indexOf(t, plan, 'pixels of the result', plans.pixelsOfResult);
  const y = t.reshape(gatherRows(t, inRows(t, results, plan.out), index), shape);
  return bias ? t.graph.op('Add', [y, bias], {}, { shape }) : y;
}

/** dy `[B, H', W', O]` → `[B, H, W, C]`: the steps of `convolution` backwards, each transposed. */
export function imageGradient(t: Tracer, plan: Plan, dy: Sym, filter: Sym): Value {
  const { value: weights, transB } = spread(t, plan, filter);
  const shape = [plan.batch, plan.rows.into, plan.columns.into, plan.into];
  if (plans.isOfSinglePixels(plan)) {
    const rows = t.reshape(t.plain(dy), [1, plans.pixelsOut(plan), plan.out]);
    return t.reshape(matmul(t, rows, weights, { transB: !transB }), shape);
  }
  const results = plans.isTiled(plan)
    ? tilesOfResult(t, plan, dy)
    : t.reshape(pixelRows(t, dy), [1, plan.count, plan.out]);
  const products = matmul(t, results, weights, { transB: !transB }); // [N, P + 1, K]
  const tiles = transformed(t, plan, 'BT', products, { transposed: true });
  const index = indexOf(t, plan, 'places of the image', plans.placesOfImage);
  const parts = gatherRows(t, inRows(t, tiles, plan.into), index);
  const times = sizeOf(parts.shape) / sizeOf(shape);
  if (times === 1) return t.reshape(parts, shape);
  const apart = t.reshape(parts, [times, sizeOf(shape)]);
  return t.reshape(matmul(t, ones(t, times), apart), shape);
}

/** x `[B, H, W, C]`, dy `[B, H', W', O]` → `[kh, kw, C, O]` in the order in which a filter of this shape is kept. */
export function filterGradient(t: Tracer, plan: Plan, x: Sym, dy: Sym): Value {
  const image = tilesOfImage(t, plan, x);
  const results = tilesOfResult(t, plan, dy);
  const taps = plans.tiledTaps(plan);
  if (outFirst(plan)) {
    const products = matmulOverRows(t, results, image, { transA: true }); // [N, O, C]
    if (taps === 1) return products;
    const flat = t.reshape(products, [products.shape[0] ?? 1, plan.out * plan.into]);
    return matmul(t, flat, matrixOf(t, plan, 'G'), { transA: true }); // [O·C, kh·kw]
  }
  return transformed(t, plan, 'G', matmulOverRows(t, image, results, { transA: true }), { transposed: true });
}

/** The filter for each of the N products, `[N, taps·C, O]` or, to be read transposed, `[N, O, C]`. */
function spread(t: Tracer, plan: Plan, filter: Sym): { value: Value; transB: boolean } {
  const { into, out } = plan;
  const taps = plans.tiledTaps(plan);
  if (!outFirst(plan)) {
    const value = t.reshape(t.plain(filter), [taps, plans.pixelsInRow(plan) * into, out]);
    return { value: transformed(t, plan, 'G', value), transB: false };
  }
  const kept = t.as(filter, filterOrder(filter.shape));
  if (taps === 1) return { value: t.reshape(kept, [1, out, into]), transB: true };
  const flat = t.reshape(t.as(filter, OIHW), [out * into, taps]);
  const value = matmul(t, matrixOf(t, plan, 'G'), flat, { transB: true });
  return { value: t.reshape(value, [value.shape[0] ?? 1, out, into]), transB: true };
}

/** Whether filters of this shape are kept with their outputs first. */
const outFirst = ({ rows, columns }: Plan): boolean => rows.taps === columns.taps;

/** What the N products take of the image: `[N, P, taps·C]`. */
function tilesOfImage(t: Tracer, plan: Plan, x: Sym): Value {
  if (plans.isOfSinglePixels(plan)) return t.reshape(t.plain(x), [1, plans.pixelsOut(plan), plan.into]);
  const index = indexOf(t, plan, 'tiles of the image', plans.tilesOfImage);
  const pixels = gatherRows(t, pixelRows(t, x), index);
  const [places, numbers] = [plans.placesInTile(plan), plans.pixelsInRow(plan) * plan.into];
  const shape = [places, sizeOf(pixels.shape) / (places * numbers), numbers];
  return transformed(t, plan, 'BT', t.reshape(pixels, shape));
}

/** The result's gradient for each of the N products: `[N, P, O]`. */
function tilesOfResult(t: Tracer, plan: Plan, dy: Sym): Value {
  if (!plans.isTiled(plan)) return t.reshape(t.plain(dy), [1, plans.pixelsOut(plan), plan.out]);
  const index = indexOf(t, plan, 'tiles of the result', plans.tilesOfResult);
  const pixels = gatherRows(t, pixelRows(t, dy), index);
  const results = plan.rows.result * plan.columns.result;
  return transformed(t, plan, 'A', t.reshape(pixels, [results, plan.count, plan.out]));
}

/** A matrix for all numbers of a tile, along the first axis of `[n, …]`. Without tiles nothing changes. */
function transformed(
  t: Tracer,
  plan: Plan,
  name: keyof ToomCook,
  value: Value,
  { transposed: transA = false } = {},
): Value {
  if (!plans.isTiled(plan)) return value;
  const [n = 1, ...rest] = value.shape;
  const matrix = matrixOf(t, plan, name);
  const product = matmul(t, matrix, t.reshape(value, [n, sizeOf(rest)]), { transA });
  return t.reshape(product, [product.shape[0] ?? 1, ...rest]);
}

function matrixOf(t: Tracer, plan: Plan, name: keyof ToomCook): Value {
  const { result: down, taps: high } = plan.rows;
  const { result: across, taps: wide } = plan.columns;
  return t.graph.derived(undefined, `${name} of F(${down}, ${high}) and F(${across}, ${wide})`, () => {
    const rows = plans.matrixOf(plan, name);
    return t.graph.constant('float32', [rows.length, rows[0]?.length ?? 0], Float32Array.from(rows.flat()));
  });
}

const ones = (t: Tracer, n: number): Value =>
  t.graph.derived(undefined, `${n} ones`, () =>
    t.graph.constant('float32', [1, n], new Float32Array(n).fill(1)),
  );

const inRows = (t: Tracer, value: Value, channels: number): Value =>
  t.reshape(value, [sizeOf(value.shape) / channels, channels]);

function indexOf(t: Tracer, plan: Plan, what: string, make: (plan: Plan) => Int32Array): Value {
  return t.graph.derived(undefined, `${what}: ${JSON.stringify(plan)}`, () => {
    const index = make(plan);
    return t.graph.constant('int32', [index.length], index);
  });
}
