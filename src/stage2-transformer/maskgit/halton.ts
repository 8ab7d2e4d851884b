/** The order of cells by Halton points: each next one far from those before it (arXiv 2503.17076, section 3). */

/** φ(1), φ(2), … of a base: the digits of k behind the point, in reverse order. Of base 2: 1/2, 1/4, 3/4, 1/8, … */
export function vanDerCorput(base: number): () => number {
  let [numerator, denominator] = [0, 1];
  return () => {
    const rest = denominator - numerator;
    if (rest === 1) {
      numerator = 1;
      denominator *= base;
    } else {
      let place = denominator / base;
      while (rest <= place) place /= base; // carries
      numerator = (base + 1) * place - rest;
    }
    return numerator / denominator;
  };
}

/** Points that are looked at for each cell; the few cells that they miss on large grids come last. */
const pointsPerCell = 3;

/** Every cell of a grid once, row · width + column: rows from base 2, columns from base 3. */
export function haltonOrder(height: number, width: number): Int32Array {
  const cells = height * width;
  const order = new Int32Array(cells);
  const met = new Uint8Array(cells);
  let count = 0;
  const meet = (cell: number): void => {
    if (met[cell] === 1) return;
    met[cell] = 1;
    order[count++] = cell;
  };
  const [halves, thirds] = [vanDerCorput(2), vanDerCorput(3)];
  for (let k = 0; k < pointsPerCell * cells && count < cells; k++)
    meet(Math.floor(halves() * height) * width + Math.floor(thirds() * width));
  for (let cell = 0; cell < cells; cell++) meet(cell);
  return order;
}
