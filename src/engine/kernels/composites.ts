/** Composite kernels of `nn/`: the same values as their compositions, in fewer and larger ONNX operators. */
import { take } from '../../base/lookup.js';
import { firstAxis, lastAxis, type Shape4, sizeOf } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { NCHW, type Sym, type Tracer } from '../tracer.js';
import { matmul } from './matmul.js';
import { kernel, kernelInFloat32 } from './register.js';

/** The largest divisor of n up to a limit. */
function largestFactor(n: number, limit: number): number {
  for (let d = Math.min(n, limit); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

/** Short names for building an expression of values. */
function algebra(t: Tracer) {
  const g = t.graph;
  const shapeOf = (a: Value, b: Value): number[] => {
    const rank = Math.max(a.shape.length, b.shape.length);
    const at = (v: Value, i: number) => v.shape[i - rank + v.shape.length] ?? 1;
    return Array.from({ length: rank }, (_, i) => Math.max(at(a, i), at(b, i)));
  };
  const binary = (op: string) => (a: Value, b: Value | number) => {
    const right = typeof b === 'number' ? g.float(b) : b;
    return g.op(op, [a, right], {}, { shape: shapeOf(a, right) });
  };
  const unary = (op: string) => (a: Value) => g.op(op, [a], {}, { shape: a.shape });
  const over = (op: string) => (a: Value, axes: readonly number[]) =>
    g.op(
      op,
      [a, g.ints(axes)],
      { keepdims: 1 },
      { shape: a.shape.map((n, i) => (axes.includes(i) ? 1 : n)) },
    );
  return {
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    sqrt: unary('Sqrt'),
    exp: unary('Exp'),
    erf: unary('Erf'),
    sigmoid: unary('Sigmoid'),
    sum: over('ReduceSum'),
    mean: over('ReduceMean'),
    sumSquare: over('ReduceSumSquare'),
    /**
     * Σ a·b over the last axis, which stays with length 1: products of rows, never written out. Pieces are summed
     * apart, which keeps the rounding of long sums small.
     */
    dot: (a: Value, b: Value) => {
      if (!t.target.rowDotsAsProducts) return over('ReduceSum')(binary('Mul')(a, b), [a.shape.length - 1]);
      const length = lastAxis(a);
      const piece = largestFactor(length, 1024);
      const pieces = (v: Value) => t.reshape(v, [sizeOf(v.shape) / piece, 1, piece]);
      const dots = matmul(t, pieces(a), pieces(b), { transB: true });
      const parts = t.reshape(dots, [...a.shape.slice(0, -1), length / piece]);
      return over('ReduceSum')(parts, [a.shape.length - 1]);
    },
  };
}

// Normalisation of images ----------------------------------------------------------------------------------------------

/**
 * Group and batch normalisation share one form: x `[B, C, P]`, statistics over `axes` of a view, an affine map per
 * channel. GroupNorm views it as `[B, G, C/G·P]` and reduces the last axis; BatchNorm reduces images and pixels.
 */
interface Normalised {
  /** x − mean, `[B, C, P]`. */
  readonly centred: Value;
  /** 1/√(variance + ε), broadcasting against the view. */
  readonly inverse: Value;
  readonly count: number;
}

interface View {
  readonly shape: readonly number[];
  readonly axes: readonly number[];
}

function normalise(t: Tracer, x: Value, view: View, epsilon: number): Normalised {
  const a = algebra(t);
  const seen = t.reshape(x, view.shape);
  const count = sizeOf(take(view.shape, view.axes));
  const centred = a.sub(seen, a.mean(seen, view.axes));
  const last = view.axes.length === 1 && view.axes[0] === view.shape.length - 1;
  const squares = last ? a.dot(centred, centred) : a.sumSquare(centred, view.axes);
  const variance = a.div(squares, count);
  const inverse = a.div(t.graph.float(1), a.sqrt(a.add(variance, epsilon)));
  return { centred, inverse, count };
}

interface Channels {
  readonly batch: number;
  readonly channels: number;
  readonly area: number;
}

function channelsOf(x: Sym): Channels {
  const [batch, h, w, channels] = x.shape as Shape4;
  return { batch, channels, area: h * w };
}

/** A number per image and group for each of the group's channels, `[B, C, 1]`. */
function perChannel(t: Tracer, each: Value, groups: number, { batch, channels }: Channels): Value {
  const repeated = t.expand(t.reshape(each, [batch, groups, 1]), [batch, groups, channels / groups]);
  return t.reshape(repeated, [batch, channels, 1]);
}

interface Epsilon {
  epsilon: number;
}

interface NormAttrs extends Epsilon {
  groups: number;
  swish: boolean;
}

/**
 * Everything before the swish: `[B, C, P]`, with what the gradient needs, too. `centred` and numbers per channel are
 * kept for it.
 */
function groupNormParts(t: Tracer, x: Sym, gamma: Sym, beta: Sym, attrs: NormAttrs, again = false) {
  const a = algebra(t);
  const c = channelsOf(x);
  const view = { shape: [c.batch, attrs.groups, (c.channels / attrs.groups) * c.area], axes: [2] };
  const { centred, inverse, count } = normalise(t, t.as(x, NCHW), view, attrs.epsilon);
  const pixels = t.reshape(centred, [c.batch, c.channels, c.area]);
  const weight = t.reshape(t.plain(gamma), [c.channels, 1]);
  const spread = perChannel(t, inverse, attrs.groups, c);
  const scale = a.mul(spread, weight); // [B, C, 1]
  const offset = t.reshape(t.plain(beta), [1, c.channels, 1]);
  const u = t.target.affine(t.graph, pixels, { scale, offset, again });
  return { c, pixels, inverse, count, weight, spread, scale, u };
}

kernel('GroupNorm', ['x', 'gamma', 'beta'], (t, { x, gamma, beta }, attrs: NormAttrs) => {
  const compute = (again: boolean): Value => {
    const { u } = groupNormParts(t, x, gamma, beta, attrs, again);
    return t.reshape(attrs.swish ? t.target.gated(t.graph, u, 1) : u, t.as(x, NCHW).shape);
  };
  return [t.out(compute(false), x.shape, 'float32', NCHW, () => compute(true))];
});

/** With d = dy·σ(u): d swish(u)·dy = d·(1 + u·(1 − σ(u))) = d + d·(u·σ(−u)). */
function swishGradient(t: Tracer, u: Value, dy: Value): Value {
  const a = algebra(t);
  const d = a.mul(dy, a.sigmoid(u));
  return a.add(d, a.mul(d, t.target.gated(t.graph, u, -1)));
}

kernel('GroupNormGrad', ['x', 'gamma', 'beta', 'dy'], (t, { x, gamma, beta, dy }, attrs: NormAttrs) => {
  const a = algebra(t);
  const parts = groupNormParts(t, x, gamma, beta, attrs, true);
  const { c, pixels, inverse, count, weight, spread, scale, u } = parts;
  const upstream = t.reshape(t.as(dy, NCHW), [c.batch, c.channels, c.area]);
  const du = attrs.swish ? swishGradient(t, u, upstream) : upstream;
  const sum = a.sum(du, [2]); // [B, C, 1]
  const dot = a.mul(a.dot(du, pixels), spread); // Σ du·x̂, [B, C, 1]
  const group = (v: Value) =>
    a.sum(t.reshape(a.mul(v, weight), [c.batch, attrs.groups, c.channels / attrs.groups]), [2]); // [B, G, 1]
  const view = [c.batch, attrs.groups, (c.channels / attrs.groups) * c.area];
  const offset = perChannel(t, a.mul(a.mul(group(sum), inverse), -1 / count), attrs.groups, c);
  const slope = a.mul(a.mul(group(dot), a.mul(inverse, inverse)), -1 / count); // [B, G, 1]
  const rest = t.reshape(a.mul(t.reshape(pixels, view), slope), pixels.shape);
  const dx = t.target.affine(t.graph, du, { scale, offset, rest });
  const overBatch = (v: Value) => t.out(t.reshape(a.sum(v, [0]), [c.channels]), [c.channels], 'float32');
  return [
    t.out(t.reshape(dx, t.as(x, NCHW).shape), x.shape, 'float32', NCHW),
    overBatch(dot),
    overBatch(sum),
  ];
});

function batchNormParts(t: Tracer, x: Sym, epsilon: number) {
  const c = channelsOf(x);
  const view = { shape: [c.batch, c.channels, c.area], axes: [0, 2] };
  return { c, ...normalise(t, t.as(x, NCHW), view, epsilon) };
}

kernel('BatchNorm', ['x', 'gamma', 'beta'], (t, { x, gamma, beta }, attrs: Epsilon) => {
  const a = algebra(t);
  const { c, centred, inverse } = batchNormParts(t, x, attrs.epsilon);
  const scale = a.mul(t.reshape(inverse, [c.channels, 1]), t.reshape(t.plain(gamma), [c.channels, 1]));
  const y = a.add(a.mul(centred, scale), t.reshape(t.plain(beta), [c.channels, 1]));
  return [t.out(t.reshape(y, t.as(x, NCHW).shape), x.shape, 'float32', NCHW)];
});

kernel('BatchNormGrad', ['x', 'gamma', 'dy'], (t, { x, gamma, dy }, attrs: Epsilon) => {
  const a = algebra(t);
  const { c, centred, inverse, count } = batchNormParts(t, x, attrs.epsilon);
  const upstream = t.reshape(t.as(dy, NCHW), [c.batch, c.channels, c.area]);
  const sum = a.sum(upstream, [0, 2]); // [1, C, 1]
  const dot = a.mul(a.sum(a.mul(upstream, centred), [0, 2]), inverse);
  const scale = a.mul(inverse, t.reshape(t.plain(gamma), [1, c.channels, 1]));
  const slope = a.mul(a.mul(a.mul(dot, inverse), scale), -1 / count);
  const offset = a.mul(a.mul(sum, scale), -1 / count);
  const dx = a.add(a.mul(upstream, scale), a.add(a.mul(centred, slope), offset));
  const flat = (v: Value) => t.out(t.reshape(v, [c.channels]), [c.channels], 'float32');
  return [t.out(t.reshape(dx, t.as(x, NCHW).shape), x.shape, 'float32', NCHW), flat(dot), flat(sum)];
});

// Transformer ----------------------------------------------------------------------------------------------------------

/** LayerNormalization over the last axis of `[N, D]`, with mean and 1/σ `[N, 1]`. */
function layerNorm(t: Tracer, x: Sym, gamma: Value, beta: Value, epsilon: number) {
  const width = lastAxis(x);
  const rows = x.shape.slice(0, -1).reduce((n, m) => n * m, 1);
  const inputs = [t.reshape(t.plain(x), [rows, width]), gamma, beta];
  return t.graph.ops('LayerNormalization', inputs, { axis: -1, epsilon: { float: epsilon } }, [
    { shape: [rows, width] },
    { shape: [rows, 1] },
    { shape: [rows, 1] },
  ]);
}

kernel('LayerNorm', ['x', 'gamma', 'beta'], (t, { x, gamma, beta }, attrs: Epsilon) => {
  const [y] = layerNorm(t, x, t.plain(gamma), t.plain(beta), attrs.epsilon);
  return [t.out(t.reshape(y, x.shape), x.shape, 'float32')];
});

kernel('LayerNormGrad', ['x', 'gamma', 'beta', 'dy'], (t, { x, gamma, beta, dy }, attrs: Epsilon) => {
  const a = algebra(t);
  const width = lastAxis(x);
  const flat = t.reshape(t.plain(x), [sizeOf(x.shape) / width, width]);
  const [, mean, inverse] = layerNorm(t, x, t.plain(gamma), t.plain(beta), attrs.epsilon);
  const hat = a.mul(a.sub(flat, mean), inverse);
  const upstream = t.reshape(t.plain(dy), flat.shape);
  const weighted = a.mul(upstream, t.plain(gamma));
  const dot = a.mean(a.mul(weighted, hat), [1]);
  const dx = a.mul(a.sub(a.sub(weighted, a.mean(weighted, [1])), a.mul(hat, dot)), inverse);
  const column = (v: Value) => t.out(t.reshape(a.sum(v, [0]), [width]), [width], 'float32');
  return [t.out(t.reshape(dx, x.shape), x.shape, 'float32'), column(a.mul(upstream, hat)), column(upstream)];
});

const asRows = (t: Tracer, x: Sym): Value =>
  t.reshape(t.plain(x), [sizeOf(x.shape) / lastAxis(x), lastAxis(x)]);

kernel('RmsNorm', ['x', 'gamma'], (t, { x, gamma }, { epsilon }: Epsilon) => {
  const [y] = t.target.rmsNorm(t.graph, asRows(t, x), t.plain(gamma), epsilon);
  return [t.out(t.reshape(y, x.shape), x.shape, 'float32')];
});

kernel('RmsNormGrad', ['x', 'gamma', 'dy'], (t, { x, gamma, dy }, { epsilon }: Epsilon) => {
  const a = algebra(t);
  const [rows, upstream] = [asRows(t, x), asRows(t, dy)];
  const [, inverse] = t.target.rmsNorm(t.graph, rows, t.plain(gamma), epsilon);
  const hat = a.mul(rows, inverse);
  const weighted = a.mul(upstream, t.plain(gamma));
  const dx = a.mul(a.sub(weighted, a.mul(hat, a.mean(a.mul(weighted, hat), [1]))), inverse);
  const toGamma = t.reshape(a.sum(a.mul(upstream, hat), [0]), gamma.shape);
  return [t.out(t.reshape(dx, x.shape), x.shape, 'float32'), t.out(toGamma, gamma.shape, 'float32')];
});

/** The two halves of rows [N, 2F]. */
function halves(t: Tracer, x: Sym): [Value, Value] {
  const [rows, columns] = x.shape as [number, number];
  const half = { shape: [rows, columns / 2] };
  const sizes = t.graph.ints([columns / 2, columns / 2]);
  return t.graph.ops('Split', [t.plain(x), sizes], { axis: 1 }, [half, half]) as [Value, Value];
}

kernel('SwiGlu', ['x'], (t, { x }) => {
  const [gate, linear] = halves(t, x);
  const y = algebra(t).mul(t.target.gated(t.graph, gate, 1), linear);
  return [t.out(y, y.shape, 'float32')];
});

kernel('SwiGluGrad', ['x', 'dy'], (t, { x, dy }) => {
  const a = algebra(t);
  const [gate, linear] = halves(t, x);
  const upstream = t.plain(dy);
  const toGate = swishGradient(t, gate, a.mul(upstream, linear));
  const toLinear = a.mul(upstream, t.target.gated(t.graph, gate, 1));
  const dx = t.graph.op('Concat', [toGate, toLinear], { axis: 1 }, { shape: x.shape });
  return [t.out(dx, x.shape, 'float32')];
});

kernel('Gelu', ['x'], (t, { x }) => {
  return [t.out(t.target.gelu(t.graph, t.plain(x)), x.shape, 'float32')];
});

/** d gelu(x) = Φ(x) + x·φ(x), times dy. */
kernel('GeluGrad', ['x', 'dy'], (t, { x, dy }) => {
  const a = algebra(t);
  const value = t.plain(x);
  const cdf = a.add(a.mul(a.erf(a.mul(value, Math.SQRT1_2)), 0.5), 0.5);
  const density = a.mul(a.exp(a.mul(a.mul(value, value), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  const gradient = a.mul(a.add(cdf, a.mul(value, density)), t.plain(dy));
  return [t.out(gradient, x.shape, 'float32')];
});

interface Smoothing {
  smoothing: number;
  /** How many codes have that share of the target alike: the first. */
  codes: number;
}

/** What smoothing gives each code, `[1, K]`. */
function alike(t: Tracer, logits: Sym, { smoothing, codes }: Smoothing): Value {
  const all = lastAxis(logits);
  return t.graph.derived(undefined, `${smoothing} over ${codes} of ${all}`, () => {
    const values = Float32Array.from({ length: all }, (_, code) => (code < codes ? smoothing / codes : 0));
    return t.graph.constant('float32', [1, all], values);
  });
}

/** −log p of the target of every row, smoothed: logits `[N, K]`, targets `[N]` → `[N]`. */
kernelInFloat32('CrossEntropy', ['logits', 'targets'], (t, { logits, targets }, o: Smoothing) => {
  const a = algebra(t);
  const [rows] = logits.shape as [number, number];
  const log = t.target.logSoftmax(t.graph, t.plain(logits));
  const index = t.reshape(t.plain(targets), [rows, 1]);
  const picked = t.graph.op('GatherElements', [log, index], { axis: 1 }, { shape: [rows, 1] });
  const wanted =
    o.smoothing === 0
      ? picked
      : a.add(a.mul(picked, 1 - o.smoothing), matmul(t, log, alike(t, logits, o), { transB: true }));
  const nll = t.graph.op('Neg', [wanted], {}, { shape: [rows, 1] });
  return [t.out(t.reshape(nll, [rows]), [rows], 'float32')];
});

/** (softmax − one-hot of the target, smoothed)·dy. */
kernelInFloat32(
  'CrossEntropyGrad',
  ['logits', 'targets', 'dy'],
  (t, { logits, targets, dy }, o: Smoothing) => {
    const a = algebra(t);
    const [rows] = logits.shape as [number, number];
    const p = t.graph.op('Softmax', [t.plain(logits)], { axis: -1 }, { shape: logits.shape });
    const index = t.reshape(t.plain(targets), [rows, 1]);
    const less = t.graph.constant('float32', [rows, 1], new Float32Array(rows).fill(o.smoothing - 1));
    const scattered = t.graph.op(
      'ScatterElements',
      [p, index, less],
      { axis: 1, reduction: 'add' },
      { shape: logits.shape },
    );
    const difference = o.smoothing === 0 ? scattered : a.sub(scattered, alike(t, logits, o));
    const upstream = dy.splat !== undefined ? t.graph.float(dy.splat) : t.reshape(t.plain(dy), [rows, 1]);
    return [t.out(a.mul(difference, upstream), logits.shape, 'float32')];
  },
);

/** argmin over codes of ‖e‖² − 2 z·e: z `[N, D]`, codebook `[K, D]` → ids `[N]`. */
kernelInFloat32('NearestCode', ['z', 'codebook'], (t, { z, codebook }) => {
  const a = algebra(t);
  const codes = t.plain(codebook);
  const [rows] = z.shape as [number, number];
  const norms = t.reshape(a.sumSquare(codes, [1]), [1, firstAxis(codes)]);
  const distance = a.add(matmul(t, t.plain(z), codes, { transB: true, alpha: -2 }), norms);
  return [t.out(t.target.firstIndex(t.graph, 'ArgMin', distance, 1), [rows], 'int32')];
});
