/** What a prior is told of a picture beside its class: codes of grids that come first on its canvas. */
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { untold } from '../tokenize/conditions/untold.js';
import type { Canvas } from './canvas.js';
import type { Drawer, Drawing, Prior } from './prior.js';

/** The grids that it draws. */
export const drawnGrids = ({ grids, condition }: Pick<Prior, 'grids' | 'condition'>): readonly Grid[] =>
  grids.slice(condition.grids.length);

/** [G]: each cell's last code, which says that nothing is told. */
export const untoldCodes = (given: readonly Grid[]): Int32Array =>
  Int32Array.from(given.flatMap((grid) => new Array<number>(grid.height * grid.width).fill(untold(grid))));

/** Codes [B, G] before those of canvases [B, T]. */
export function withTold(told: ArrayLike<number>, { codes, labels }: Canvas): Canvas {
  const batch = labels.length;
  const [given, cells] = [told.length / batch, codes.length / batch];
  const all = new Int32Array(batch * (given + cells));
  for (let row = 0; row < batch; row++) {
    for (let i = 0; i < given; i++) all[row * (given + cells) + i] = told[row * given + i]!;
    all.set(codes.subarray(row * cells, (row + 1) * cells), row * (given + cells) + given);
  }
  return { codes: all, labels };
}

/**
 * A drawer's work without the codes that are told.
 *
 * @param known codes [B, T] of the grids that are drawn
 * @param o.told [B, G], nothing unless given
 * @returns [B, T]
 */
export async function drawTold(
  drawer: Drawer,
  prior: Pick<Prior, 'grids' | 'condition'>,
  known: Canvas,
  { told, ...o }: Drawing & { readonly told?: Int32Array },
): Promise<Int32Array> {
  const { grids: given } = prior.condition;
  if (given.length === 0) return drawer.draw(known, o);
  const batch = known.labels.length;
  const nothing = untoldCodes(given);
  const before =
    told ?? Int32Array.from({ length: batch * nothing.length }, (_, i) => nothing[i % nothing.length]!);
  const all = await drawer.draw(withTold(before, known), o);
  const cells = cellsIn(drawnGrids(prior));
  const drawn = new Int32Array(batch * cells);
  for (let row = 0; row < batch; row++)
    drawn.set(
      all.subarray((row + 1) * (nothing.length + cells) - cells, (row + 1) * (nothing.length + cells)),
      row * cells,
    );
  return drawn;
}
