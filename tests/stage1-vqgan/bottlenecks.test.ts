/** Each kind of bottleneck against the same computed in plain numbers, and what its terms may and may not move. */
import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../../src/base/rng.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { cosineCode } from '../../src/stage1-vqgan/bottlenecks/cosine.js';
import { averagedCode, followed } from '../../src/stage1-vqgan/bottlenecks/ema.js';
import { finiteScalars } from '../../src/stage1-vqgan/bottlenecks/fsq.js';
import { digitsOf, numberOf } from '../../src/stage1-vqgan/bottlenecks/grid.js';
import { lookupFree } from '../../src/stage1-vqgan/bottlenecks/lfq.js';
import { nearestCode } from '../../src/stage1-vqgan/bottlenecks/nearest.js';
import { rotated } from '../../src/stage1-vqgan/bottlenecks/rotation.js';
import { expectClose } from '../support/close.js';
import { tinyConfig } from './tiny.js';

const config = (o: Record<string, unknown>) => tinyConfig(o).stage1;
const rng = stream('bottlenecks');
const random = (rows: number, width: number, scale = 1) =>
  Array.from({ length: rows }, () => Array.from({ length: width }, () => scale * rng.normal()));
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const unit = (a: readonly number[]) => a.map((x) => x / Math.sqrt(dot(a, a)));
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
/** [N, D] as an image of one row. */
const image = (rows: number[][]) => tf.tensor4d([[rows]]);
const codesOf = (t: tf.Tensor) => Array.from(t.dataSync());

/** Slope of f at each number of rows. */
function slopes(f: (rows: number[][]) => number, rows: number[][], step = 1e-4): number[][] {
  return rows.map((row, n) =>
    row.map((_, d) => {
      const at = (by: number) => f(rows.map((r, i) => r.map((x, j) => (i === n && j === d ? x + by : x))));
      return (at(step) - at(-step)) / (2 * step);
    }),
  );
}

describe('rotation', () => {
  const z = random(4, 3);
  const q = random(4, 3);
  const dy = random(4, 3);
  /** λR of the paper, written out. */
  const matrices = z.map((e, n) => {
    const [from, to] = [unit(e), unit(q[n]!)];
    const r = unit(from.map((x, i) => x + to[i]!));
    const scale = Math.sqrt(dot(q[n]!, q[n]!) / dot(e, e));
    return e.map((_, i) =>
      e.map((_, j) => scale * (Number(i === j) - 2 * r[i]! * r[j]! + 2 * to[i]! * from[j]!)),
    );
  });
  const pull = (at: number[][]) =>
    valueAndGradsOf({ z: image(z) }, (p) => tf.sum(tf.mul(rotated(p.z, image(at)), image(dy))));

  test('the matrix takes z to q', () => {
    const turned = matrices.map((rows, n) => rows.map((row) => dot(row, z[n]!)));
    expectClose(tf.tensor2d(turned), tf.tensor2d(q));
  });

  test('the value is q, z’s gradient is the matrix’ transpose times dy', () => {
    const { value, grads } = pull(q);
    expectClose(value, [sum(q.map((row, n) => dot(row, dy[n]!)))]);
    const wanted = matrices.map((rows, n) =>
      rows.map((_, j) =>
        dot(
          rows.map((row) => row[j]!),
          dy[n]!,
        ),
      ),
    );
    expectClose(grads.z, image(wanted), { rtol: 1e-4 });
  });

  test('where q is z, and with zeros or opposite vectors: dy as it is, finite', () => {
    expectClose(pull(z).grads.z, image(dy));
    const zeros = tf.zeros([1, 1, 4, 3]);
    const at = (z: tf.Tensor, q: tf.Tensor) =>
      valueAndGradsOf({ z }, (p) => tf.sum(tf.mul(rotated(p.z, q), image(dy)))).grads.z;
    for (const slope of [at(zeros, zeros), at(image(z), zeros), at(image(z), tf.neg(image(z)))]) {
      expect(codesOf(slope).every(Number.isFinite)).toBe(true);
    }
  });

  test.each(['nearest', 'ema', 'cosine'])('%s: the codebook gets nothing of it', (kind) => {
    const make = { nearest: nearestCode, ema: averagedCode, cosine: cosineCode }[kind]!;
    const run = (gradient: string) =>
      valueAndGradsOf({ z: image(z), codebook: tf.tensor2d(q) }, (p) => {
        const bottled = make(config({ codes: 4, embed_dim: 3, bottleneck: { gradient } })).pass(p, p.z);
        const all = tf.add(tf.sum(tf.mul(bottled.output, image(dy))), tf.mul(0, bottled.loss));
        return tf.add(all, tf.mul(0, tf.sum(p.codebook)));
      });
    const [straight, turned] = [run('straight-through'), run('rotation')];
    expectClose(turned.value, straight.value);
    expectClose(turned.grads.codebook, tf.zeros([4, 3]), { atol: 0 });
    expect(tf.max(tf.abs(tf.sub(turned.grads.z, straight.grads.z))).dataSync()[0]).toBeGreaterThan(0.01);
  });
});

describe('ema', () => {
  const bottleneck = averagedCode(config({ codes: 3, embed_dim: 2, beta: 0.25 }));
  const codebook = tf.tensor2d([
    [0, 0],
    [1, 0],
    [0, 2],
  ]);
  const z = image([
    [0.8, 0.1],
    [-0.2, 1.5],
    [1.4, -0.4],
  ]);

  test('commitment moves z alone, the codebook gets no gradient', () => {
    const { value, grads } = valueAndGradsOf({ z, codebook }, (p) =>
      tf.add(bottleneck.pass(p, p.z).loss, tf.mul(0, tf.sum(p.codebook))),
    );
    const off = tf.sub(z, bottleneck.pass({ codebook }, z).output);
    expectClose(value, tf.mul(0.25, tf.mean(tf.square(off))));
    expectClose(grads.z, tf.mul((0.25 * 2) / 6, off));
    expectClose(grads.codebook, tf.zeros([3, 2]), { atol: 0 });
    expect(bottleneck.learnsByGradient).toBe(false);
  });

  test('three steps equal counts and sums kept apart', () => {
    const [decay, smoothing] = [0.8, 1e-5];
    let counts = [1, 1, 1];
    let sums = codebook.arraySync();
    let codes = sums.map((row) => row.map((x) => x));
    // A code that is m / N̂ at the start has the sums e·N̂.
    const smooth = (n: number) => ((n + smoothing) / (sum(counts) + 3 * smoothing)) * sum(counts);
    sums = sums.map((row) => row.map((x) => x * smooth(1)));
    let state = { codebook: codebook as tf.Tensor, counts: tf.ones([3]) as tf.Tensor };
    for (let step = 0; step < 3; step++) {
      const rows = random(5, 2);
      const chosen = [0, 0, 2, 0, 2]; // code 1 is never chosen
      state = followed(state, tf.tensor2d(rows), tf.tensor1d(chosen, 'int32'), decay);
      const mine = (k: number) => rows.filter((_, n) => chosen[n] === k);
      counts = counts.map((n, k) => decay * n + (1 - decay) * mine(k).length);
      sums = sums.map((row, k) =>
        row.map((x, d) => decay * x + (1 - decay) * sum(mine(k).map((r) => r[d]!))),
      );
      codes = sums.map((row, k) => row.map((x) => x / smooth(counts[k]!)));
    }
    expectClose(state.counts, counts);
    expectClose(state.codebook, tf.tensor2d(codes));
    expectClose(tf.slice(state.codebook, [1, 0], [1, 2]), [1, 0], { atol: 1e-4 });
  });
});

describe('cosine', () => {
  const bottleneck = cosineCode(config({ codes: 3, embed_dim: 2, beta: 0.25 }));
  const codebook = tf.tensor2d([
    [0.1, 0],
    [0, 5],
    [-3, -3],
  ]);
  const rows = [
    [2, 1.5],
    [-1, 0.3],
    [0.3, 0.4],
  ];
  const z = image(rows);
  const h = Math.SQRT1_2;

  test('codes by angle, whatever the lengths; the decoder sees unit vectors', () => {
    const { codes, output } = bottleneck.pass({ codebook }, z);
    expect(codesOf(codes)).toEqual([0, 2, 1]);
    expectClose(output, [1, 0, -h, -h, 0, 1]);
    expectClose(bottleneck.decode({ codebook }, codes), output);
    expect(codesOf(bottleneck.encode({ codebook }, tf.mul(z, 100)))).toEqual([0, 2, 1]);
    expectClose(bottleneck.pass({ codebook }, z, tf.scalar(0)).output, image(rows.map(unit)));
  });

  test('commitment moves z and the codebook term the codes, each across its direction only', () => {
    const q = [
      [1, 0],
      [-h, -h],
      [0, 1],
    ];
    const off = (a: number[][], b: number[][]) =>
      sum(a.flatMap((row, n) => row.map((x, d) => (x - b[n]![d]!) ** 2))) / 6;
    const { value, grads } = valueAndGradsOf({ z, codebook }, (p) => bottleneck.pass(p, p.z).loss);
    expectClose(value, [1.25 * off(rows.map(unit), q)]);
    expectClose(grads.z, image(slopes((r) => 0.25 * off(r.map(unit), q), rows)), { atol: 1e-4 });
    const chosen = [0, 2, 1];
    const ofCodes = slopes(
      (book) =>
        off(
          chosen.map((k) => unit(book[k]!)),
          rows.map(unit),
        ),
      codebook.arraySync(),
    );
    expectClose(grads.codebook, tf.tensor2d(ofCodes), { atol: 1e-3, rtol: 1e-3 });
  });

  test('zeros stay finite', () => {
    const { grads } = valueAndGradsOf({ z: tf.zerosLike(z), codebook }, (p) => bottleneck.pass(p, p.z).loss);
    expect(codesOf(grads.z).every(Number.isFinite)).toBe(true);
  });
});

test('numbers of a grid: places, and there and back for the largest', () => {
  expect(codesOf(numberOf(tf.tensor2d([[2, 3, 1]]), [3, 4, 2]))).toEqual([2 + 3 * 3 + 1 * 12]);
  for (const levels of [new Array(20).fill(2), [8, 8, 8, 5, 5, 5], [7, 5, 5, 5, 5], [3, 1000, 300]]) {
    const count = levels.reduce((a: number, b: number) => a * b, 1);
    const codes = Array.from({ length: 2000 }, (_, i) =>
      i < 1000 ? i % count : count - 1 - ((i * 7919) % count),
    );
    const digits = digitsOf(tf.tensor1d(codes, 'int32'), levels);
    expect(codesOf(numberOf(digits, levels))).toEqual(codes);
    const rows = digits.arraySync() as number[][];
    expect(rows.every((row) => row.every((x, i) => Number.isInteger(x) && x >= 0 && x < levels[i]))).toBe(
      true,
    );
  }
});

describe('fsq', () => {
  const levels = [3, 4, 2];
  const bottleneck = finiteScalars(config({ codes: 24, bottleneck: { kind: 'fsq', levels } }));
  const half = [0.999, 1.4985, 0.4995]; // (L − 1)·0.999 / 2
  const offset = [0, 0.5, 0.5];
  const width = [1, 2, 1];
  const squeeze = (x: number, i: number) =>
    Math.tanh(x + Math.tan(offset[i]! / half[i]!)) * half[i]! - offset[i]!;
  const rows = random(30, 3, 1.5);

  test('by hand: the middle and both ends', () => {
    const z = image([
      [0, 0.01, 0],
      [9, 9, 9],
      [-9, -9, -9],
      [0.6, -1.2, -3],
    ]);
    const { output, codes } = bottleneck.pass({}, z);
    // tanh(0.6)·0.999 = 0.537 → 1; tanh(−1.2 + 0.347)·1.4985 − 0.5 = −1.54 → −2
    expectClose(
      output,
      image([
        [0, 0, 0],
        [1, 0.5, 0],
        [-1, -1, -1],
        [1, -1, -1],
      ]),
    );
    expect(codesOf(codes)).toEqual([1 + 3 * 2 + 12, 2 + 3 * 3 + 12, 0, 2]);
  });

  test('values and codes equal the plain computation; decoding gives what the decoder saw', () => {
    const z = image(rows);
    const whole = rows.map((row) => row.map((x, i) => Math.floor(squeeze(x, i) + 0.5)));
    const { output, codes, terms, loss } = bottleneck.pass({}, z);
    expectClose(output, image(whole.map((row) => row.map((x, i) => x / width[i]!))));
    const numbers = whole.map((row) => row[0]! + 1 + 3 * (row[1]! + 2) + 12 * (row[2]! + 1));
    expect(codesOf(codes)).toEqual(numbers);
    expect(codesOf(bottleneck.encode({}, z))).toEqual(numbers);
    expectClose(bottleneck.decode({}, codes), output);
    expect(terms).toEqual({});
    expectClose(loss, [0]);
    expect(new Set(numbers).size).toBeGreaterThan(10);
  });

  test('all codes decode to different points in [−1, 1]', () => {
    const all = tf.range(0, 24, 1, 'int32');
    const points = bottleneck.decode({}, all).arraySync() as number[][];
    expect(new Set(points.map(String)).size).toBe(24);
    expect(Math.max(...points.flat().map(Math.abs))).toBe(1);
  });

  test('the gradient is that of the squeezing, rounding left out', () => {
    const dy = random(30, 3);
    const { grads } = valueAndGradsOf({ z: image(rows) }, ({ z }) =>
      tf.sum(tf.mul(bottleneck.pass({}, z).output, image(dy))),
    );
    const smooth = (r: number[][]) =>
      sum(r.flatMap((row, n) => row.map((x, i) => (squeeze(x, i) / width[i]!) * dy[n]![i]!)));
    expectClose(grads.z, image(slopes(smooth, rows)), { atol: 1e-4, rtol: 1e-3 });
  });
});

describe.each([1, 3, 4])('lfq of %d bits', (bits) => {
  const [temperature, weight, beta] = [0.8, 0.3, 0.25];
  const bottleneck = lookupFree(
    config({ codes: 2 ** bits, beta, bottleneck: { kind: 'lfq', temperature, entropy_weight: weight } }),
  );
  const rows = random(6, bits, 0.4);
  const z = image(rows);
  const corner = (code: number) => Array.from({ length: bits }, (_, i) => ((code >> i) & 1) * 2 - 1);
  const all = Array.from({ length: 2 ** bits }, (_, code) => corner(code));

  /** Straight from the definitions: a softmax over all codes. */
  const shares = (row: number[]) => {
    const raw = all.map((c) => Math.exp(-sum(c.map((x, i) => (row[i]! - x) ** 2)) / temperature));
    return raw.map((x) => x / sum(raw));
  };
  const entropyOf = (p: number[]) => -sum(p.map((x) => x * Math.log(x)));
  const entropy = (r: number[][]) => sum(r.map((row) => entropyOf(shares(row)))) / r.length;
  const usage = (r: number[][]) =>
    entropyOf(all.map((_, c) => sum(r.map((row) => shares(row)[c]!)) / r.length));
  const q = rows.map((row) => row.map((x) => (x > 0 ? 1 : -1)));

  test('signs, codes and back', () => {
    const { output, codes } = bottleneck.pass({}, z);
    expectClose(output, image(q));
    expect(codesOf(codes)).toEqual(q.map((row) => sum(row.map((x, i) => (x > 0 ? 2 ** i : 0)))));
    expect(codesOf(bottleneck.encode({}, z))).toEqual(codesOf(codes));
    expectClose(bottleneck.decode({}, codes), output);
  });

  test('terms and loss equal the definitions', () => {
    const { terms, loss } = bottleneck.pass({}, z);
    const commitment = sum(rows.flatMap((row, n) => row.map((x, i) => (x - q[n]![i]!) ** 2))) / (6 * bits);
    expectClose(terms.commitment!, [commitment]);
    expectClose(terms.entropy!, [entropy(rows)]);
    expectClose(terms.codebook_entropy!, [usage(rows)]);
    expectClose(loss, [beta * commitment + weight * (entropy(rows) - usage(rows))]);
  });

  test('gradients: straight through of the output, slopes of the definitions of the loss', () => {
    const dy = random(6, bits);
    const through = valueAndGradsOf({ z }, (p) => tf.sum(tf.mul(bottleneck.pass({}, p.z).output, image(dy))));
    expectClose(through.grads.z, image(dy));
    const whole = (r: number[][]) =>
      (beta * sum(r.flatMap((row, n) => row.map((x, i) => (x - q[n]![i]!) ** 2)))) / (6 * bits) +
      weight * (entropy(r) - usage(r));
    const { grads } = valueAndGradsOf({ z }, (p) => bottleneck.pass({}, p.z).loss);
    expectClose(grads.z, image(slopes(whole, rows)), { atol: 1e-5, rtol: 1e-3 });
  });

  test('far from the border everything stays finite', () => {
    const far = tf.mul(z, 1e4);
    const { value, grads } = valueAndGradsOf({ z: far }, (p) => bottleneck.pass({}, p.z).loss);
    expect([...codesOf(value), ...codesOf(grads.z)].every(Number.isFinite)).toBe(true);
  });
});
