/** Drawing with whatever answers for canvases of MaskGIT's. */
import { must } from '../../base/lookup.js';
import { vocabulary } from '../../stage1-vqgan/grids.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { type Canvas, unknown } from '../canvas.js';
import type { Drawer } from '../prior.js';
import { type Ask, fill } from './filling.js';
import { haltonOrder } from './halton.js';
import type { MaskSchedule } from './schedule.js';

/** @param ask of canvases once, whatever the guidance */
export function passesDrawer(
  ask: Ask,
  o: { grids: readonly Grid[]; schedule: MaskSchedule; cfgScale: number; dispose(): Promise<void> },
): Drawer {
  const { grids, schedule, cfgScale: scale, dispose } = o;
  const cells = { vocabulary: vocabulary(grids), far: farApart(grids), schedule, scale };
  return {
    draw: (known, drawing) =>
      fill(known, ask, { ...drawing, ...cells, passes: must(drawing.passes, 'passes') }),
    dispose,
  };
}

/** All cells of a canvas, each grid's in Halton's order, one grid after another. */
export function farApart(grids: readonly Grid[]): Int32Array {
  const cells: number[] = [];
  for (const { height, width } of grids) {
    const before = cells.length;
    for (const cell of haltonOrder(height, width)) cells.push(before + cell);
  }
  return Int32Array.from(cells);
}

/** The same canvases twice, the second time without their classes, and where cells come first that are told, nothing. */
export function withAndWithout({ codes, labels }: Canvas, untold: Int32Array = new Int32Array()): Canvas {
  const both = new Int32Array(2 * codes.length);
  both.set(codes);
  both.set(codes, codes.length);
  const cells = codes.length / labels.length;
  for (const row of labels.keys()) both.set(untold, codes.length + row * cells);
  const told = new Int32Array(2 * labels.length).fill(unknown);
  told.set(labels);
  return { codes: both, labels: told };
}
