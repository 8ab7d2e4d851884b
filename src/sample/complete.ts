/** `vqgen complete`: the rest of a picture of which a part is kept, by any prior. */
import { expected } from '../base/errors.js';
import { readEvalImage } from '../data/reading.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import { coarsestSide, type Keep, keptLines, pixelsBeyond, touchedCells } from './canvas-of.js';
import {
  checkPlaces,
  type Painter,
  type PaintFiles,
  type Painting,
  type PaintOptions,
  type PaintSummary,
  painterOf,
  paintFiles,
} from './paint.js';

export interface CompleteOptions extends PaintOptions {
  /** The top half unless given. */
  readonly keep?: Keep;
}

/** @throws UserError as `completion`, and where nothing can be written */
export async function complete(o: CompleteOptions & PaintFiles): Promise<PaintSummary> {
  checkPlaces(o);
  return paintFiles(await completion(o), o);
}

/** @throws UserError for a run that is not trained, a picture that cannot be read, or what its prior cannot continue */
export async function completion(o: CompleteOptions): Promise<Painting> {
  const { keep = 'top' } = o;
  const painter = await painterOf(o);
  checkKeep(keep, painter);
  const { data: own } = painter.config;
  const { size } = own;
  const grids = drawnGrids(painter.prior.model);
  const { data } = await readEvalImage(o.image, size, own);
  const pixels = pixelsBeyond(keep, grids, size);
  const plan = {
    ...{ image: data as Float32Array, size, pixels },
    redrawn: grids.map((grid) => touchedCells(pixels, grid, 0)),
    added: { top: 0, left: 0, right: 0, bottom: 0 },
  };
  return { painter, plan, name: 'complete', command: 'complete' };
}

/** @throws UserError for what would leave nothing to keep or to draw, or would not be seen */
function checkKeep(keep: Keep, { prior, config }: Painter): void {
  if ((keep === 'right' || keep === 'bottom') && prior.model.draws === 'in order') {
    throw expected(
      'top, left or a fraction',
      '--keep',
      `${keep}, which a prior of prior.kind ${config.prior.kind} does not see while it draws what comes before`,
      'A prior of prior.kind maskgit draws anywhere.',
    );
  }
  const side = coarsestSide(drawnGrids(prior.model));
  const kept = keptLines(keep, drawnGrids(prior.model));
  if (kept >= 1 && kept < side) return;
  throw expected(
    'a fraction that leaves rows of codes to keep and to draw',
    '--keep',
    `${keep}, of ${side} rows ${kept}`,
  );
}
