/**
 * Where the devices of ONNX Runtime want the same thing written differently: all of it is here. Kernels ask the
 * tracer's target; programs know nothing of it.
 *
 * `portableTarget` is for files that any runtime reads: operators of the standard only, of its version 17.
 *
 * The WebGPU provider lacks operators that the CPU has (`FusedMatMul`, `Sign`, `LogSoftmax`, `SpaceToDepth`, casts
 * from int64), and counts launches rather than bytes.
 */
import { lastAxis, type Shape4, sizeOf } from '../base/tensor.js';
import type { GraphBuilder, OnnxType, Value } from './graph.js';
import { permuteShape } from './permute.js';

export interface ProductOptions {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

export interface Affine {
  readonly scale: Value;
  readonly offset: Value;
  readonly rest?: Value;
  readonly again?: boolean;
}

export interface Convolution {
  readonly image: Value;
  readonly filters: Value;
  readonly bias?: Value;
  readonly options: ConvolutionOptions;
  readonly shape: Shape4;
}

export interface ConvolutionOptions {
  readonly kernel_shape: readonly number[];
  readonly strides: readonly number[];
  /** top, left, bottom, right */
  readonly pads: readonly number[];
}

export interface ConvolutionSize {
  readonly batchSize: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly padInfo: {
    readonly top: number;
    readonly left: number;
    readonly bottom: number;
    readonly right: number;
  };
}

export interface Target {
  /** image `[B, C, H, W]`, filters `[O, C, kh, kw]`, bias `[O]` → `shape` `[B, O, H', W']`. */
  convolution(g: GraphBuilder, o: Convolution): Value;
  /**
   * x·scale + offset (+ rest) for x `[B, C, P]`, scale `[B, C, 1]`, offset `[B or 1, C, 1]`. With `again`, nodes of
   * its own, where equal ones would be merged: for what is computed once more instead of being kept.
   */
  affine(g: GraphBuilder, x: Value, o: Affine): Value;
  /** a·b of the last two axes, with the result's `shape`; some option differs from a plain product. */
  product(g: GraphBuilder, a: Value, b: Value, o: ProductOptions, shape: readonly number[]): Value;
  /** How many bytes of a tensor are best computed at once, where images are large. */
  readonly bytesAtOnce: number;
  /** Whether it has products of uint8 and int8 whose sums do not overflow. */
  readonly exactBytes?: true;
  /** Whether float16 is computed with, not only stored. */
  readonly float16: boolean;
  /** x·σ(αx): swish at α = 1. */
  gated(g: GraphBuilder, x: Value, alpha: number): Value;
  /** x·Φ(x), exact. */
  gelu(g: GraphBuilder, x: Value): Value;
  /** γ·x/rms of rows x `[N, D]`, γ `[D]`, and 1/rms `[N, 1]`. */
  rmsNorm(g: GraphBuilder, x: Value, gamma: Value, epsilon: number): readonly [Value, Value];
  /**
   * Parameters of up to so many numbers are updated as one long vector, out of which an operator takes so many at
   * most.
   */
  readonly packs: { readonly upTo: number; readonly pieces: number };
  /** Whether Σ a·b over rows is best a product of matrices; otherwise numbers are multiplied, then summed. */
  readonly rowDotsAsProducts: boolean;
  /**
   * Whether sums of columns are best a product with a row of ones: 0.05 ms for 1024 × 192 numbers, where ReduceSum
   * takes 0.13.
   */
  readonly rowSumsAsProducts: boolean;
  /**
   * Whether ONNX Runtime's own attention is there, which computes scores a tile at a time and writes none of them out.
   */
  readonly tiledAttention: boolean;
  /** Whether patches of images (im2col) serve filter gradients at every size. */
  readonly patchesAlways: boolean;
  /**
   * Rows and columns of the result that a tile of a convolution of stride 1 has, where that is computed sooner as
   * products of matrices; 1 for pixels that are not put together.
   */
  tiles(c: ConvolutionSize): readonly [number, number] | undefined;
  /** x where `open` (booleans), 0 elsewhere. */
  gate(g: GraphBuilder, open: Value, x: Value): Value;
  /** log softmax over the last axis. */
  logSoftmax(g: GraphBuilder, x: Value): Value;
  /** ids `[…]` → `[…, depth]`, `on` at the id and `off` elsewhere. */
  oneHot(g: GraphBuilder, ids: Value, depth: number, values: { on: number; off: number }): Value;
  sign(g: GraphBuilder, x: Value): Value;
  /** int32 index of the first smallest or largest value along `axis`, which goes. */
  firstIndex(g: GraphBuilder, op: 'ArgMin' | 'ArgMax', x: Value, axis: number): Value;
  /** `[B, C, H, W]` → four `[B, C, H/2, W/2]`: even rows' even and odd columns, then odd rows'. */
  quarters(g: GraphBuilder, image: Value): Value[];
}

const INT32 = 6;
const FLOAT = 1;

function reduced(g: GraphBuilder, op: string, x: Value, axis: number, keep: boolean): Value {
  const shape = keep ? x.shape.map((n, i) => (i === axis ? 1 : n)) : x.shape.filter((_, i) => i !== axis);
  return g.op(op, [x, g.ints([axis])], { keepdims: Number(keep) }, { shape });
}

function cast(g: GraphBuilder, x: Value, type: OnnxType): Value {
  return g.op('Cast', [x], { to: type === 'int32' ? INT32 : FLOAT }, { type, shape: x.shape });
}

function reshaped(g: GraphBuilder, x: Value, shape: readonly number[]): Value {
  return g.op('Reshape', [x, g.ints(shape)], {}, { shape });
}

function expanded(g: GraphBuilder, x: Value, shape: readonly number[]): Value {
  return x.shape.join() === shape.join() ? x : g.op('Expand', [x, g.ints(shape)], {}, { shape });
}

function transposed(g: GraphBuilder, x: Value, perm: readonly number[]): Value {
  return g.op('Transpose', [x], { perm }, { shape: permuteShape(x.shape, perm) });
}

function lastTwoSwapped(g: GraphBuilder, x: Value): Value {
  const rank = x.shape.length;
  const perm = x.shape.map((_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  return transposed(g, x, perm);
}

export function convolution(g: GraphBuilder, { image, filters, bias, options, shape }: Convolution): Value {
  const inputs = bias ? [image, filters, bias] : [image, filters];
  return g.op('Conv', inputs, { ...options }, { shape });
}

const gated = (g: GraphBuilder, x: Value, alpha: number): Value =>
  g.op('QuickGelu', [x], { alpha: { float: alpha } }, { shape: x.shape });
const gelu = (g: GraphBuilder, x: Value): Value => g.op('Gelu', [x], {}, { shape: x.shape });

/** Of plain operators; those that nobody reads go. */
function rmsNorm(g: GraphBuilder, x: Value, gamma: Value, epsilon: number): readonly [Value, Value] {
  const each = { shape: [...x.shape.slice(0, -1), 1] };
  const squares = reduced(g, 'ReduceSumSquare', x, x.shape.length - 1, true);
  const mean = g.op('Mul', [squares, g.float(1 / lastAxis(x))], {}, each);
  const rms = g.op('Sqrt', [g.op('Add', [mean, g.float(epsilon)], {}, each)], {}, each);
  const inverse = g.op('Reciprocal', [rms], {}, each);
  const out = { shape: x.shape };
  return [g.op('Mul', [g.op('Mul', [x, inverse], {}, out), gamma], {}, out), inverse];
}

/**
 * By comparison: for 1024 ids of 512 ONNX Runtime's OneHot takes 2.2 ms on a CPU, where this takes 0.3, and WebGPU
 * lacks it.
 */
function oneHot(g: GraphBuilder, ids: Value, depth: number, { on, off }: { on: number; off: number }): Value {
  const shape = [...ids.shape, depth];
  const places = g.derived(undefined, `0 to ${depth}`, () =>
    g.constant(
      'int32',
      [depth],
      Int32Array.from({ length: depth }, (_, i) => i),
    ),
  );
  const hit = g.op('Equal', [reshaped(g, ids, [...ids.shape, 1]), places], {}, { type: 'bool', shape });
  if (on === 1 && off === 0) return cast(g, hit, 'float32');
  return g.op('Where', [hit, g.float(on), g.float(off)], {}, { type: 'float32', shape });
}

function hasWholeTiles({
  outHeight,
  outWidth,
  padInfo: { top, left, bottom, right },
}: ConvolutionSize): boolean {
  return [top, left, bottom, right].every((n) => n === 1) && outHeight % 4 === 0 && outWidth % 4 === 0;
}

/**
 * What tiles of a 3×3 convolution save grows with C·O, the cost of moving them with C + O; at 16 × 16 pixels and less
 * the plain one is slow, besides.
 */
function tilesPay({ batchSize, outHeight, outWidth, inChannels, outChannels }: ConvolutionSize): boolean {
  const side = Math.max(outHeight, outWidth);
  const channels = (inChannels * outChannels) / (inChannels + outChannels);
  return side <= 32 && batchSize * outHeight * outWidth >= 1024 && channels >= (side <= 16 ? 32 : 64);
}

export const cpuTarget: Target = {
  bytesAtOnce: 8 * 2 ** 20,
  float16: false,
  packs: { upTo: 2 ** 14, pieces: Number.POSITIVE_INFINITY },
  convolution,
  gated,
  gelu,

  rmsNorm(g, x, gamma, epsilon) {
    const attrs = { axis: -1, epsilon: { float: epsilon } };
    const outs = [{ shape: x.shape }, { shape: [...x.shape.slice(0, -1), 1] }] as const;
    return g.ops('SimplifiedLayerNormalization', [x, gamma], attrs, outs) as [Value, Value];
  },

  /**
   * As a convolution of 1×1 with a channel for each row: ONNX Runtime then reads and writes the numbers once, where
   * Mul and Add do it twice.
   */
  affine(g, x, { scale, offset, rest, again }) {
    const [batch, channels, area] = x.shape as [number, number, number];
    const rows = batch * channels;
    const image = [1, rows, area, 1];
    const all = expanded(g, offset, scale.shape);
    const inputs = [reshaped(g, x, image), reshaped(g, scale, [rows, 1, 1, 1]), reshaped(g, all, [rows])];
    if (rest) inputs.push(reshaped(g, rest, image));
    const attrs = { kernel_shape: [1, 1], group: rows, ...(again && { dilations: [1, 1] }) };
    return reshaped(g, g.op('FusedConv', inputs, attrs, { shape: image }), x.shape);
  },

  rowDotsAsProducts: true,
  rowSumsAsProducts: true,
  tiledAttention: true,
  patchesAlways: false,

  /**
   * Filters that are not square are a PixelCNN's: 2×3, a first one of 3×7, and those of one row, of which tiles would
   * save too little.
   */
  tiles(c) {
    const { filterHeight: high, filterWidth: wide, outHeight, outWidth } = c;
    const most = (out: number) => (out % 4 === 0 ? 4 : 2);
    if (high === 1) return [1, 1];
    const across = wide === 3 ? most(outWidth) : wide === 7 ? 2 : 1;
    if (high !== wide) return [high <= 3 ? most(outHeight) : 2, across];
    return high === 3 && hasWholeTiles(c) && tilesPay(c) ? [4, 4] : undefined;
  },

  product: (g, a, b, { transA, transB, alpha }, shape) =>
    g.op(
      'FusedMatMul',
      [a, b],
      { transA: Number(transA), transB: Number(transB), alpha: { float: alpha } },
      { shape },
    ),

  /** As a product: Where takes half as long again. */
  gate: (g, open, x) => g.op('Mul', [x, cast(g, open, 'float32')], {}, { shape: x.shape }),

  logSoftmax: (g, x) => g.op('LogSoftmax', [x], { axis: -1 }, { shape: x.shape }),

  oneHot,

  sign: (g, x) => g.op('Sign', [x], {}, { shape: x.shape }),

  firstIndex(g, op, x, axis) {
    const shape = x.shape.filter((_, i) => i !== axis);
    return cast(g, g.op(op, [x], { axis, keepdims: 0 }, { type: 'int64', shape }), 'int32');
  },

  quarters(g, image) {
    const [b, c, h, w] = image.shape as Shape4;
    const quarter = [b, c, h / 2, w / 2];
    const shape = [b, 4 * c, h / 2, w / 2];
    const blocks = g.op('SpaceToDepth', [image], { blocksize: 2 }, { shape });
    const outs = new Array(4).fill({ shape: quarter });
    return g.ops('Split', [blocks, g.ints([c, c, c, c])], { axis: 1 }, outs);
  },
};

export const webgpuTarget: Target = {
  bytesAtOnce: Number.POSITIVE_INFINITY,
  float16: true,
  packs: { upTo: Number.POSITIVE_INFINITY, pieces: 7 }, // devices promise eight buffers to a launch
  convolution,
  gated,
  gelu,
  rmsNorm,

  affine(g, x, { scale, offset, rest }) {
    const out = { shape: x.shape };
    const moved = g.op('Add', [g.op('Mul', [x, scale], {}, out), offset], {}, out);
    return rest ? g.op('Add', [moved, rest], {}, out) : moved;
  },

  rowDotsAsProducts: false,
  rowSumsAsProducts: false,
  tiledAttention: false,
  patchesAlways: true,
  tiles: () => undefined,

  /** Gemm reads transposed matrices in place; a batch of them has to be transposed first. */
  product(g, a, b, { transA, transB, alpha }, shape) {
    if (b.shape.length === 2 && (a.shape.length === 2 || !transA)) {
      const attrs = { transA: Number(transA), transB: Number(transB), alpha: { float: alpha } };
      const rows = a.shape.length === 2 ? a : reshaped(g, a, [-1, lastAxis(a)]);
      const [m, n] = [sizeOf(shape.slice(0, -1)), lastAxis({ shape })];
      const value = g.op('Gemm', [rows, b], attrs, { shape: [m, n] });
      return a.shape.length === 2 ? value : reshaped(g, value, [...shape.slice(0, -2), -1, n]);
    }
    const left = transA ? lastTwoSwapped(g, a) : a;
    const right = transB ? lastTwoSwapped(g, b) : b;
    const value = g.op('MatMul', [left, right], {}, { shape });
    return alpha === 1 ? value : g.op('Mul', [value, g.float(alpha)], {}, { shape });
  },

  gate: (g, open, x) => g.op('Where', [open, x, g.float(0)], {}, { type: 'float32', shape: x.shape }),

  /** The provider's ReduceLogSumExp does not subtract the maximum by itself. */
  logSoftmax(g, x) {
    const axis = x.shape.length - 1;
    const below = g.op('Sub', [x, reduced(g, 'ReduceMax', x, axis, true)], {}, { shape: x.shape });
    return g.op('Sub', [below, reduced(g, 'ReduceLogSumExp', below, axis, true)], {}, { shape: x.shape });
  },

  oneHot,

  sign(g, x) {
    const side = (op: string) =>
      cast(g, g.op(op, [x, g.float(0)], {}, { type: 'bool', shape: x.shape }), 'float32');
    return g.op('Sub', [side('Greater'), side('Less')], {}, { shape: x.shape });
  },

  firstIndex(g, op, x, axis) {
    const n = x.shape[axis]!;
    const best = reduced(g, op === 'ArgMin' ? 'ReduceMin' : 'ReduceMax', x, axis, true);
    const hit = g.op('Equal', [x, best], {}, { type: 'bool', shape: x.shape });
    const along = x.shape.map((_, i) => (i === axis ? n : 1));
    const places = g.derived(undefined, `places ${along}`, () =>
      g.constant(
        'float32',
        along,
        Float32Array.from({ length: n }, (_, i) => i),
      ),
    );
    const at = g.op('Where', [hit, places, g.float(n - 1)], {}, { type: 'float32', shape: x.shape });
    return cast(g, reduced(g, 'ReduceMin', at, axis, false), 'int32');
  },

  quarters(g, image) {
    const [b, c, h, w] = image.shape as Shape4;
    const quarter = [b, c, h / 2, w / 2];
    const apart = transposed(g, reshaped(g, image, [b, c, h / 2, 2, w / 2, 2]), [3, 5, 0, 1, 2, 4]);
    const stacked = reshaped(g, apart, [4 * b, c, h / 2, w / 2]);
    return g.ops(
      'Split',
      [stacked, g.ints([b, b, b, b])],
      { axis: 0 },
      new Array(4).fill({ shape: quarter }),
    );
  },
};

export const portableTarget: Target = {
  ...cpuTarget,
  /** Parts of a batch would have its length. */
  bytesAtOnce: Number.POSITIVE_INFINITY,
  affine: webgpuTarget.affine,
  rmsNorm: webgpuTarget.rmsNorm,
  product: webgpuTarget.product,
  rowDotsAsProducts: false,
  rowSumsAsProducts: false,
  tiledAttention: false,
  tiles: () => undefined,

  gated(g, x, alpha) {
    const out = { shape: x.shape };
    const scaled = alpha === 1 ? x : g.op('Mul', [x, g.float(alpha)], {}, out);
    return g.op('Mul', [x, g.op('Sigmoid', [scaled], {}, out)], {}, out);
  },

  /** Written as PyTorch's exports have it, so that runtimes know it again. */
  gelu(g, x) {
    const out = { shape: x.shape };
    const erf = g.op('Erf', [g.op('Div', [x, g.float(Math.SQRT2)], {}, out)], {}, out);
    const doubled = g.op('Mul', [x, g.op('Add', [erf, g.float(1)], {}, out)], {}, out);
    return g.op('Mul', [doubled, g.float(0.5)], {}, out);
  },
};
