/** The order of cells by Halton points: each next one far from those before it (arXiv 2503.17076, section 3). */

/** The digits of k in a base behind the point, in reverse order: φ₂(1) = 1/2, φ₂(2) = 1/4, φ₂(3) = 3/4. */
export function radicalInverse(k: number, base: number): number {
  let [left, scale, value] = [k, 1 / base, 0];
  for (; left > 0; left = Math.floor(left / base), scale /= base) value += (left % base) * scale;
  return value;
}

/** Points that are looked at for each cell; the few cells that they miss on large grids come last. */
const pointsPerCell = 4;

/** Every cell of a grid once, row · width + column: rows from base 2, columns from base 3. */
export function haltonOrder(height: number, width: number): Int32Array {
  const cells = height * width;
  const order = new Set<number>();
  for (let k = 1; k <= pointsPerCell * cells && order.size < cells; k++) {
    const row = Math.floor(radicalInverse(k, 2) * height);
    const column = Math.floor(radicalInverse(k, 3) * width);
    order.add(row * width + column);
  }
  for (let cell = 0; cell < cells; cell++) order.add(cell);
  return Int32Array.from(order);
}
