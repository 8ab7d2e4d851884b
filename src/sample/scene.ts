/**
 * A picture that is being drawn: pixels and codes side by side, as large as it is to become, and the window of the
 * trained size that goes over it. Places in it are counted in cells of the coarsest grid. Pure but for `lay`.
 */
import type { Grid } from '../stage1-vqgan/latent.js';
import { unknown } from '../stage2-transformer/canvas.js';
import { coarsestSide } from './canvas-of.js';
import { blankSheet, type Sheet, write } from './code-sheet.js';
import { blend, softMask } from './composite.js';
import { stepAnywhere, type Window, windowsFrom } from './windows.js';

/** What is to be drawn of a picture, and around it. */
export interface Plan {
  /** [S, S, 3] in [−1, 1]. */
  readonly image: Float32Array;
  readonly size: number;
  /** [S, S], 1 for pixels of which nothing old is to remain. */
  readonly pixels: Uint8Array;
  /** Of each grid [h, w], 1 for cells that are drawn. */
  readonly redrawn: readonly Uint8Array[];
  /** What is added on each side. */
  readonly added: Readonly<Record<'top' | 'left' | 'right' | 'bottom', number>>;
}

export interface Scene extends Sheet {
  /** Side of a cell in pixels. */
  readonly cell: number;
  /** [H, W, 3]; white where nothing is yet. */
  picture: Float32Array;
  /** [H, W], 1 for pixels that are still to be replaced. */
  readonly missing: Uint8Array;
  readonly windows: readonly Window[];
}

/** Pixels over which old and new mix: a cell of the finest grid. */
const rimOf = ({ grids, side, cell }: Scene): number =>
  (side * cell) / Math.max(...grids.map(({ height }) => height));

/** Its extent in pixels. */
export const extentOf = ({ rows, columns, cell }: Scene) => ({ width: columns * cell, height: rows * cell });

/** @param codes [T] of the plan's image */
export function sceneOf(plan: Plan, codes: Int32Array, grids: readonly Grid[]): Scene {
  const { size, added, redrawn } = plan;
  const side = coarsestSide(grids);
  const rows = added.top + side + added.bottom;
  const columns = added.left + side + added.right;
  const cell = size / side;
  const origin: Window = { left: added.left, top: added.top };
  const scene: Scene = {
    ...blankSheet(grids, rows, columns),
    cell,
    picture: new Float32Array(rows * columns * cell * cell * 3).fill(1),
    missing: new Uint8Array(rows * columns * cell * cell).fill(1),
    windows: windowsFrom(origin, { rows, columns, side }, stepAnywhere(side)),
  };
  const known = codes.slice();
  let first = 0;
  for (const cells of redrawn) {
    for (const [i, drawn] of cells.entries()) if (drawn) known[first + i] = unknown;
    first += cells.length;
  }
  write(scene, origin, known);
  for (const [from, to] of pixelRows(scene, origin)) {
    scene.picture.set(plan.image.subarray(3 * from, 3 * (from + size)), 3 * to);
    scene.missing.set(plan.pixels.subarray(from, from + size), to);
  }
  return scene;
}

/** Another of the same, to be drawn otherwise. */
export const copyOf = (scene: Scene): Scene => ({
  ...scene,
  picture: scene.picture.slice(),
  missing: scene.missing.slice(),
  codes: scene.codes.map((codes) => codes.slice()),
});

/**
 * Puts what was drawn for a window where it belongs: codes [T], and where pixels are missing their picture [S, S, 3].
 */
export function lay(scene: Scene, window: Window, codes: Int32Array, image: Float32Array): void {
  write(scene, window, codes);
  const size = scene.side * scene.cell;
  const below = new Float32Array(size * size * 3);
  const missing = new Uint8Array(size * size);
  for (const [from, to] of pixelRows(scene, window)) {
    below.set(scene.picture.subarray(3 * to, 3 * (to + size)), 3 * from);
    missing.set(scene.missing.subarray(to, to + size), from);
    scene.missing.fill(0, to, to + size);
  }
  const mixed = blend(below, image, softMask(missing, { width: size, height: size }, rimOf(scene)));
  for (const [from, to] of pixelRows(scene, window))
    scene.picture.set(mixed.subarray(3 * from, 3 * (from + size)), 3 * to);
}

/** Where each row of pixels begins in a window, and in the scene. */
function* pixelRows({ columns, side, cell }: Scene, { left, top }: Window): Generator<[number, number]> {
  const size = side * cell;
  for (let y = 0; y < size; y++) yield [y * size, ((top * cell + y) * columns + left) * cell];
}
