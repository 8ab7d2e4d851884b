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
  const { across, down, steepness } = slopesOf(image, size);
  const own = (y: number, x: number): number =>
    y < 0 || x < 0 || y >= size || x >= size ? 0 : steepness[y * size + x]!;
  const least = Math.max(leastSteep, share * steepness.reduce((most, value) => Math.max(most, value), 0));
  const edges = new Uint8Array(size * size);
  for (let y = 0, i = 0; y < size; y++)
    for (let x = 0; x < size; x++, i++) {
      const steep = steepness[i]!;
      if (steep < least) continue;
      const [dy, dx] = [Math.round(down[i]! / steep), Math.round(across[i]! / steep)];
      if (steep >= own(y - dy, x - dx) && steep > own(y + dy, x + dx)) edges[i] = 1;
    }
  return edges;
}

/** [S, S] each, of the channel that is steepest there. */
interface Slopes {
  readonly across: Float64Array;
  readonly down: Float64Array;
  readonly steepness: Float64Array;
}

/** By Sobel's filters, in values from 0 to 1 a pixel; beyond its border a picture goes on as it is there. */
function slopesOf(image: Float32Array, size: number): Slopes {
  const all = () => new Float64Array(size * size);
  const [across, down, steepness] = [all(), all(), all()];
  const row = 3 * size;
  for (let y = 0, i = 0; y < size; y++) {
    const [above, here, below] = [Math.max(0, y - 1) * row, y * row, Math.min(size - 1, y + 1) * row];
    for (let x = 0; x < size; x++, i++) {
      const [left, right] = [3 * Math.max(0, x - 1), 3 * Math.min(size - 1, x + 1)];
      for (let c = 0; c < 3; c++) {
        const [l, m, r] = [left + c, 3 * x + c, right + c];
        const [nw, ne, sw, se] = [image[above + l]!, image[above + r]!, image[below + l]!, image[below + r]!];
        const dx = (ne + 2 * image[here + r]! + se - nw - 2 * image[here + l]! - sw) / 8;
        const dy = (sw + 2 * image[below + m]! + se - nw - 2 * image[above + m]! - ne) / 8;
        const steep = Math.hypot(dx, dy);
        if (steep <= steepness[i]!) continue;
        across[i] = dx;
        down[i] = dy;
        steepness[i] = steep;
      }
    }
  }
  return { across, down, steepness };
}
