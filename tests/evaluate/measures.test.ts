/** Measures against numbers derived by hand, and against numpy (`scripts/evaluate-fixture.py` wrote the fixture). */
import fs from 'node:fs';
import { float32 } from '../../src/base/tensor.js';
import { symmetricEigenvalues } from '../../src/evaluate/eigenvalues.js';
import { resize } from '../../src/evaluate/features.js';
import { frechetDistance, Moments } from '../../src/evaluate/frechet.js';
import { NearestImages, nearestOther, precisionRecall } from '../../src/evaluate/neighbours.js';
import { ssim } from '../../src/evaluate/ssim.js';
import { expectClose } from '../support/close.js';

const fixture = JSON.parse(fs.readFileSync('tests/evaluate/fixture.json', 'utf8'));
const { width } = fixture;
const [a, b, few] = [fixture.a, fixture.b, fixture.few].map((rows) => Float32Array.from(rows));
const vector = (data: ArrayLike<number>) => ({ shape: [data.length], data });

function gaussianOf(rows: Float32Array, columns = width, batch = 7) {
  const moments = new Moments(columns);
  for (let at = 0; at < rows.length; at += batch * columns)
    moments.add(rows.subarray(at, at + batch * columns));
  return moments.gaussian();
}

describe('Fréchet distance', () => {
  test("mean and covariance of rows in batches are numpy's", () => {
    const { covariance, count } = gaussianOf(a!);
    expect(count).toBe(40);
    expectClose(vector(covariance), fixture.covariance_a, { rtol: 1e-10, atol: 1e-12 });
  });

  test('far from 0, too', () => {
    const far = gaussianOf(Float32Array.from([10001, 10003, 10005]), 1, 1);
    expect([far.mean[0], far.covariance[0]]).toEqual([10003, 4]);
  });

  test("eigenvalues of a symmetric matrix are numpy's", () => {
    const values = symmetricEigenvalues(Float64Array.from(fixture.symmetric), 7);
    expectClose(vector(values), fixture.eigenvalues, { rtol: 1e-12, atol: 1e-12 });
  });

  test('eigenvalues that are equal, zero or alone', () => {
    expectClose(vector(symmetricEigenvalues(Float64Array.of(2, 0, 0, 0, 2, 0, 0, 0, 2), 3)), [2, 2, 2]);
    expectClose(vector(symmetricEigenvalues(new Float64Array(9), 3)), [0, 0, 0]);
    expectClose(vector(symmetricEigenvalues(Float64Array.of(-3), 1)), [-3]);
    // A reflection is needed here: 1 1 1 times itself has eigenvalue 3.
    expectClose(vector(symmetricEigenvalues(new Float64Array(9).fill(1), 3)), [0, 0, 3], { atol: 1e-12 });
  });

  test('in one dimension it is (μ₁ − μ₂)² + (σ₁ − σ₂)²', () => {
    const one = { count: 9, mean: Float64Array.of(1), covariance: Float64Array.of(4) };
    const other = { count: 5, mean: Float64Array.of(4), covariance: Float64Array.of(25) };
    expect(frechetDistance(one, other)).toBeCloseTo(9 + 9, 10);
    expect(frechetDistance(other, one)).toBeCloseTo(18, 10);
  });

  test("of several dimensions it is numpy's, also with fewer images than dimensions", () => {
    expectClose(vector([frechetDistance(gaussianOf(a!), gaussianOf(b!))]), [fixture.frechet_ab], {
      rtol: 1e-6,
      atol: 0,
    });
    expectClose(vector([frechetDistance(gaussianOf(a!), gaussianOf(few!))]), [fixture.frechet_a_few], {
      rtol: 1e-6,
      atol: 0,
    });
    expectClose(vector([frechetDistance(gaussianOf(few!), gaussianOf(a!))]), [fixture.frechet_a_few], {
      rtol: 1e-6,
      atol: 0,
    });
  });

  test('of a set to itself it is 0', () => {
    for (const rows of [a!, few!])
      expect(frechetDistance(gaussianOf(rows), gaussianOf(rows))).toBeLessThan(1e-6);
  });
});

describe('SSIM', () => {
  const flat = (grey: number) => new Uint8Array(12 * 12 * 3).fill(grey);
  test("is numpy's", () => {
    expect(ssim(Uint8Array.from(fixture.image), Uint8Array.from(fixture.other), 14)).toBeCloseTo(
      fixture.ssim,
      10,
    );
  });

  test('of an image with itself it is 1', () => {
    expect(ssim(Uint8Array.from(fixture.image), Uint8Array.from(fixture.image), 14)).toBe(1);
  });

  test('of flat images it is (2ab + C₁) / (a² + b² + C₁)', () => {
    const c1 = (0.01 * 255) ** 2;
    expect(ssim(flat(100), flat(50), 12)).toBeCloseTo((2 * 5000 + c1) / (12500 + c1), 8);
  });
});

describe('precision and recall', () => {
  test("are numpy's", () => {
    const { precision, recall } = precisionRecall(a!.subarray(0, 30 * width), b!, width);
    expect(precision).toBeCloseTo(fixture.precision, 12);
    expect(recall).toBeCloseTo(fixture.recall, 12);
    expect(precision).not.toBe(recall); // else the fixture could not tell them apart
  });

  test('of a set with itself both are 1, of sets far apart 0', () => {
    expect(precisionRecall(b!, b!, width)).toEqual({ precision: 1, recall: 1 });
    expect(
      precisionRecall(
        b!,
        b!.map((v) => v + 1000),
        width,
      ),
    ).toEqual({ precision: 0, recall: 0 });
  });

  test('by hand: samples in one place are precise and recall little', () => {
    // Balls of the real points 0 1 2 3 … 9 reach three neighbours; those of the samples at 5 reach nothing but 5.
    const real = Float32Array.from({ length: 10 }, (_, i) => i);
    expect(precisionRecall(real, new Float32Array(10).fill(5), 1)).toEqual({ precision: 1, recall: 0.1 });
  });
});

test('the nearest of images that come in batches', () => {
  const nearest = new NearestImages<number>(Float32Array.of(0, 0, 10, 0), 2, 1);
  const offer = (...features: number[]) =>
    nearest.offer(Float32Array.from(features), (row) => features[2 * row]!);
  offer(3, 4, 7, 0);
  offer(-1, 0);
  offer(2, 2);
  expect([...nearest.distances]).toEqual([1, 3]);
  expect(nearest.images).toEqual([-1]);
});

test("the standard network's resize is bilinear between pixel centres, channels first, from [−1, 1] to [0, 1]", () => {
  const image = float32([1, 2, 2, 3]);
  for (const [i, red] of [-1, 1, -1, 1].entries()) image.data[3 * i] = red;
  const into = new Float32Array(3 * 4 * 4);
  resize(image, 0, 4, into);
  for (let y = 0; y < 4; y++) expect([...into.subarray(4 * y, 4 * y + 4)]).toEqual([0, 0.25, 0.75, 1]);
  expect([...into.subarray(16)]).toEqual(new Array(32).fill(0.5));
});

test('distance to the nearest other point, of equal ones 0', () => {
  expect([...nearestOther(Float32Array.of(0, 0, 3, 4, 3, 5), 2)]).toEqual([5, 1, 1]);
  expect([...nearestOther(Float32Array.of(1, 2, 9, 9, 1, 2), 2)].slice(0, 3)).toEqual([
    0,
    Math.hypot(8, 7),
    0,
  ]);
  expect(nearestOther(Float32Array.of(1, 2), 2)).toHaveLength(0);
});
