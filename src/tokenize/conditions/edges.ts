/**
 * Where a picture has edges: of each cell, in which of its nine parts there is one. An edge is a ridge of the gradient
 * (Sobel) across its direction, as Canny (1986) has it, that is steep for the picture.
 */
import { conditionGrid, type Plain, shownCells } from './condition.js';

const parts = 3;
const codes = 2 ** (parts * parts);

/** Of values from 0 to 1: a flat picture has no edges, however little the others are. */
const leastSteep = 0.15;
/** Share of a picture's steepest slope that counts. */
const share = 0.2;

/** @param side rows and columns of cells; it divides `size` */
export function edges(size: number, side: number): Plain {
  const record = { kind: 'edges', size, grid: conditionGrid(side, side, codes) } as const;
  const place = (at: number) => Math.floor((at * side * parts) / size);
  return {
    record,
    codes(image) {
      const found = edgesOf(image, size);
      const bits = new Int32Array(side * side);
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) {
          if (!found[y * size + x]) continue;
          const [row, column] = [place(y), place(x)];
          const part = (row % parts) * parts + (column % parts);
          bits[Math.floor(row / parts) * side + Math.floor(column / parts)]! |= 1 << part;
        }
      return bits;
    },
    shown: (given) =>
      shownCells(record, (cell, x, y) => {
        const part = (place(y) % parts) * parts + (place(x) % parts);
        const isEdge = given[cell]! < codes && (given[cell]! >> part) % 2 === 1;
        return isEdge ? [-1, -1, -1] : [1, 1, 1];
      }),
  };
}

/** [S, S], 1 where an edge is: of red, green or blue, of what is steepest. */
function edgesOf(image: Float32Array, size: number): Uint8Array {
  const slopes = Array.from({ length: size * size }, (_, i) =>
    slopeAt(image, size, Math.floor(i / size), i % size),
  );
  const steepness = (y: number, x: number): number =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : slopes[y * size + x]!.steepness;
  const steepest = slopes.reduce((most, { steepness }) => Math.max(most, steepness), 0);
  const least = Math.max(leastSteep, share * steepest);
  return Uint8Array.from(slopes, ({ across, down, steepness: own }, i) => {
    if (own < least) return 0;
    const [y, x] = [Math.floor(i / size), i % size];
    const [dy, dx] = [Math.round(down / own), Math.round(across / own)];
    return own >= steepness(y - dy, x - dx) && own > steepness(y + dy, x + dx) ? 1 : 0;
  });
}

interface Slope {
  readonly across: number;
  readonly down: number;
  readonly steepness: number;
}

/** By Sobel's filters, in values from 0 to 1 a pixel; beyond its border a picture goes on as it is there. */
function slopeAt(image: Float32Array, size: number, y: number, x: number): Slope {
  const within = (i: number) => Math.min(size - 1, Math.max(0, i));
  let steepest: Slope = { across: 0, down: 0, steepness: 0 };
  for (let c = 0; c < 3; c++) {
    const at = (dy: number, dx: number) => image[3 * (within(y + dy) * size + within(x + dx)) + c]! / 2;
    const side = (dy: number, dx: number) => at(dy - dx, dx + dy) + 2 * at(dy, dx) + at(dy + dx, dx - dy);
    const [across, down] = [(side(0, 1) - side(0, -1)) / 4, (side(1, 0) - side(-1, 0)) / 4];
    const steepness = Math.hypot(across, down);
    if (steepness > steepest.steepness) steepest = { across, down, steepness };
  }
  return steepest;
}
