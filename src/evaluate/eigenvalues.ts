/**
 * Eigenvalues of real symmetric matrices in float64: Householder reflections to tridiagonal form, then bisection on
 * the number of eigenvalues below a point (Sturm sequence). Golub and Van Loan, Matrix Computations, §8.3.1 and
 * §8.4.1. No eigenvectors: nothing here needs them, and they would take several times as long.
 */

/**
 * @param matrix [n, n], of which the lower triangle is read and overwritten
 * @returns ascending, each to about 10⁻¹⁵ of the largest magnitude
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonal(matrix, n);
  return bisected(diagonal, beside);
}

function tridiagonal(a: Float64Array, n: number): { diagonal: Float64Array; beside: Float64Array } {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(Math.max(0, n - 1));
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    diagonal[k] = a[k * n + k]!;
    if (k === n - 1) break;
    // The reflection 1 − β v vᵀ that takes the column below the diagonal to (beside, 0, …, 0).
    let squares = 0;
    for (let i = k + 1; i < n; i++) {
      v[i] = a[i * n + k]!;
      squares += v[i]! ** 2;
    }
    const first = v[k + 1]!;
    const length = Math.sqrt(squares) * (first > 0 ? -1 : 1);
    beside[k] = length;
    if (squares === first * first) {
      beside[k] = first;
      continue; // nothing to take to zero
    }
    v[k + 1] = first - length;
    const beta = 1 / (squares - first * length);
    // The rest A becomes A − v wᵀ − w vᵀ with w = β A v − ½ β² (vᵀ A v) v.
    w.fill(0, k + 1);
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      const vi = v[i]!;
      let sum = a[row + i]! * vi;
      for (let j = k + 1; j < i; j++) {
        sum += a[row + j]! * v[j]!;
        w[j]! += a[row + j]! * vi;
      }
      w[i]! += sum;
    }
    let projection = 0;
    for (let i = k + 1; i < n; i++) {
      w[i]! *= beta;
      projection += w[i]! * v[i]!;
    }
    const half = (beta * projection) / 2;
    for (let i = k + 1; i < n; i++) w[i]! -= half * v[i]!;
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      const vi = v[i]!;
      const wi = w[i]!;
      for (let j = k + 1; j <= i; j++) a[row + j]! -= vi * w[j]! + wi * v[j]!;
    }
  }
  return { diagonal, beside };
}

/** Steps of a bisection: the bounds of all eigenvalues halved down to float64's resolution of them. */
const halvings = 54;

function bisected(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const n = diagonal.length;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const radius = Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0); // Gershgorin
    low = Math.min(low, diagonal[i]! - radius);
    high = Math.max(high, diagonal[i]! + radius);
  }
  const squares = beside.map((b) => b * b);
  const tiny = Math.max(Math.abs(low), Math.abs(high), Number.MIN_VALUE) * Number.EPSILON ** 2;
  const below = (x: number): number => {
    let count = 0;
    let pivot = 1;
    for (let i = 0; i < n; i++) {
      pivot = diagonal[i]! - x - (i > 0 ? squares[i - 1]! / pivot : 0);
      if (Math.abs(pivot) < tiny) pivot = -tiny;
      if (pivot < 0) count++;
    }
    return count;
  };
  return Float64Array.from({ length: n }, (_, k) => {
    let [left, right] = [low, high];
    for (let i = 0; i < halvings && left < right; i++) {
      const middle = (left + right) / 2;
      if (below(middle) > k) right = middle;
      else left = middle;
    }
    return (left + right) / 2;
  });
}
