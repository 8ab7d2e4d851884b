/**
 * Fréchet distance of two sets of features, each taken for a Gaussian (Heusel et al., arXiv 1706.08500, eq. 6), in
 * float64: ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½).
 */
import { symmetricEigenvalues } from './eigenvalues.js';

export interface Gaussian {
  /** Number of images. */
  readonly count: number;
  /** [F] */
  readonly mean: Float64Array;
  /** [F, F], symmetric, of N − 1 degrees of freedom. */
  readonly covariance: Float64Array;
}

/** Mean and covariance of rows that come in batches; memory does not grow with them. */
export class Moments {
  private count = 0;
  /** Values are summed relative to the first row: features far from 0 lose no digits. */
  private origin: Float64Array | undefined;
  private readonly sums: Float64Array;
  /** Upper triangle. */
  private readonly products: Float64Array;

  constructor(readonly width: number) {
    this.sums = new Float64Array(width);
    this.products = new Float64Array(width * width);
  }

  /** @param rows [n, F] */
  add(rows: Float32Array): void {
    const { width, sums, products } = this;
    const n = rows.length / width;
    if (n === 0) return;
    this.origin ??= Float64Array.from(rows.subarray(0, width));
    const { origin } = this;
    const shifted = Float64Array.from(rows, (v, i) => v - origin[i % width]!);
    for (let i = 0; i < width; i++) {
      const to = i * width;
      for (let from = 0; from < shifted.length; from += width) {
        const value = shifted[from + i]!;
        sums[i]! += value;
        if (value === 0) continue;
        for (let j = i; j < width; j++) products[to + j]! += value * shifted[from + j]!;
      }
    }
    this.count += n;
  }

  /** Of at least two rows. */
  gaussian(): Gaussian {
    const { count, origin, sums, products, width } = this;
    if (!origin || count < 2) throw new Error(`internal: ${count} rows have no covariance`);
    const covariance = new Float64Array(width * width);
    for (let i = 0; i < width; i++)
      for (let j = i; j < width; j++) {
        const value = (products[i * width + j]! - (sums[i]! * sums[j]!) / count) / (count - 1);
        covariance[i * width + j] = value;
        covariance[j * width + i] = value;
      }
    return { count, mean: sums.map((sum, i) => origin[i]! + sum / count), covariance };
  }
}

/** At least 0; 0 for equal Gaussians, up to rounding. Not the square root: what papers print as FID. */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  const between = a.mean.reduce((sum, v, i) => sum + (v - b.mean[i]!) ** 2, 0);
  return Math.max(0, between + trace(a) + trace(b) - 2 * traceOfRoot(a, b));
}

function trace({ mean, covariance }: Gaussian): number {
  return mean.reduce((sum, _, i) => sum + covariance[i * (mean.length + 1)]!, 0);
}

/**
 * tr((Σ₁ Σ₂)^½). Σ₁ Σ₂ has the eigenvalues of Aᵀ Σ₂ A, which is symmetric, for every A with A Aᵀ = Σ₁. The symmetric
 * root Σ₁^½ is one such A; the Cholesky factor is one that needs no eigenvectors, and has fewer columns where there
 * were fewer images than features.
 */
function traceOfRoot(a: Gaussian, b: Gaussian): number {
  const [first, second] = a.count <= b.count ? [a, b] : [b, a];
  const n = first.mean.length;
  const rows = choleskyRows(first.covariance, n);
  const product = new Float64Array(rows.length ** 2);
  const between = new Float64Array(n);
  rows.forEach((row, k) => {
    between.fill(0);
    for (let i = 0; i < n; i++) {
      const value = row[i]!;
      if (value === 0) continue;
      const from = i * n;
      for (let j = 0; j < n; j++) between[j]! += value * second.covariance[from + j]!;
    }
    for (let l = 0; l <= k; l++) product[k * rows.length + l] = dot(between, rows[l]!);
  });
  const values = symmetricEigenvalues(product, rows.length);
  return values.reduce((sum, v) => sum + Math.sqrt(Math.max(0, v)), 0);
}

/**
 * Rows r of Aᵀ with Σ r rᵀ = Σ: Cholesky decomposition with pivoting (Higham, Accuracy and Stability of Numerical
 * Algorithms, §10.3), which ends where nothing but rounding is left, at the rank of the matrix.
 */
function choleskyRows(matrix: Float64Array, n: number): Float64Array[] {
  const left = Float64Array.from({ length: n }, (_, i) => matrix[i * (n + 1)]!);
  const tolerance = n * Number.EPSILON * left.reduce((most, v) => Math.max(most, v), 0);
  const rows: Float64Array[] = [];
  const pivots: number[] = [];
  while (rows.length < n) {
    let pivot = 0;
    for (let i = 1; i < n; i++) if (left[i]! > left[pivot]!) pivot = i;
    if (left[pivot]! <= tolerance) break;
    const row = matrix.slice(pivot * n, (pivot + 1) * n);
    for (const earlier of rows) {
      const share = earlier[pivot]!;
      if (share !== 0) for (let j = 0; j < n; j++) row[j]! -= share * earlier[j]!;
    }
    const root = Math.sqrt(left[pivot]!);
    for (let j = 0; j < n; j++) row[j]! /= root;
    for (const earlier of pivots) row[earlier] = 0;
    row[pivot] = root;
    for (let j = 0; j < n; j++) left[j]! -= row[j]! ** 2;
    left[pivot] = 0;
    pivots.push(pivot);
    rows.push(row);
  }
  return rows;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
