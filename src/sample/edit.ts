/** `vqgen edit`: a part of a picture drawn anew, or more around it, by a prior that draws anywhere. */
import { expected } from '../base/errors.js';
import { type Box, boxPixels, frameOf, maskPixels } from '../data/frame.js';
import { placeOf } from '../data/pictures.js';
import { readEvalImage } from '../data/reading.js';
import { listed } from '../stage2-transformer/model.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import { coarsestSide, shareKept, touchedCells } from './canvas-of.js';
import {
  checkPlaces,
  type Painter,
  type PaintFiles,
  type Painting,
  type PaintOptions,
  type PaintSummary,
  painterOf,
  paintFiles,
  trainedFor,
} from './paint.js';
import type { Plan } from './scene.js';

export interface InpaintOptions extends PaintOptions {
  /** What is redrawn: a box, in the picture's own pixels, or the white of `mask`; one of the two. */
  readonly box?: Box;
}

export interface OutpaintOptions extends PaintOptions {
  /** What is added on each side, as shares of the picture's side. */
  readonly added: Partial<Readonly<Record<'top' | 'left' | 'right' | 'bottom', number>>>;
}

/** Cells by which what is redrawn is grown: what is kept of the picture and what is new meet on them. */
const growth = 1;

/** What each edit asks for, by its name. */
export const edits = { inpaint: inpainting, outpaint: outpainting, class: reclassing };

const written =
  <O extends PaintOptions>(ask: (o: O) => Promise<Painting>) =>
  async (o: O & PaintFiles): Promise<PaintSummary> => {
    checkPlaces(o);
    return paintFiles(await ask(o), o);
  };

/** Each @throws UserError as what it asks for, and where nothing can be written */
export const inpaint = written(inpainting);
export const outpaint = written(outpainting);
export const editClass = written(reclassing);

/**
 * @throws UserError for a run that is not trained, a prior that draws in order only, a picture, mask or box that is
 *   none
 */
async function inpainting(o: InpaintOptions): Promise<Painting> {
  const painter = await editorOf(o);
  return { painter, plan: await redrawing(painter, o), name: 'inpaint', command: 'edit inpaint' };
}

/**
 * The same as another class.
 *
 * @throws UserError as `inpainting`, and where no class is named
 */
async function reclassing(o: InpaintOptions): Promise<Painting> {
  const painter = await editorOf(o);
  if (painter.chosen.length === 0) {
    const { classes } = painter.prior;
    const known = classes.length > 0 ? `one of ${listed(classes)}` : 'a prior that knows classes';
    throw expected(known, '--class', 'nothing', 'Without a class: vqgen edit inpaint.');
  }
  return { painter, plan: await redrawing(painter, o), name: 'class', command: 'edit class' };
}

async function redrawing(painter: Painter, o: InpaintOptions): Promise<Plan> {
  const { data: own } = painter.config;
  const { size } = own;
  const grids = drawnGrids(painter.prior.model);
  const image = (await readEvalImage(o.image, size, own)).data as Float32Array;
  const pixels = await markedPixels(o, size);
  const cells = grids.map((grid) => touchedCells(pixels, grid, growth));
  if (shareKept(cells, grids) === 0) {
    throw expected(
      'a part of the picture',
      o.mask === undefined ? '--box' : '--mask',
      'one that, grown by a cell on every side, covers all of its codes',
      'vqgen sample draws whole pictures.',
    );
  }
  return { image, size, pixels, redrawn: cells, added: { top: 0, left: 0, right: 0, bottom: 0 } };
}

/** [S, S], 1 for a pixel that is to be redrawn. */
async function markedPixels({ image, box, mask }: InpaintOptions, size: number): Promise<Uint8Array> {
  if ((box === undefined) === (mask === undefined)) {
    throw expected(
      'one of --box X,Y,W,H and --mask PNG',
      '--box',
      box === undefined ? 'neither' : 'both',
      'A mask is white where the picture is to be redrawn.',
    );
  }
  const frame = await frameOf(image, size);
  if (box) return boxPixels(frame, box);
  const pixels = await maskPixels(frame, mask!);
  if (pixels.includes(1)) return pixels;
  throw expected(
    'white where the picture is to be redrawn',
    '--mask',
    `${placeOf(mask!)}, which has none in the middle square that the run sees`,
  );
}

/** More of a picture on any side: a window of the trained size goes over it, a quarter of it on what is there. */
async function outpainting(o: OutpaintOptions): Promise<Painting> {
  const painter = await editorOf(o);
  const { data: own } = painter.config;
  const { size } = own;
  const grids = drawnGrids(painter.prior.model);
  const side = coarsestSide(grids);
  const cells = (share = 0): number => (share > 0 ? Math.max(1, Math.round(share * side)) : 0);
  const { top, left, right, bottom } = o.added;
  const added = { top: cells(top), left: cells(left), right: cells(right), bottom: cells(bottom) };
  if (Object.values(added).every((n) => n === 0)) {
    throw expected(
      'a share of the picture',
      '--left, --right, --top or --bottom',
      'none',
      'For example: --right 50%',
    );
  }
  const image = (await readEvalImage(o.image, size, own)).data as Float32Array;
  const pixels = new Uint8Array(size * size);
  const nothing = grids.map(({ height, width }) => new Uint8Array(height * width));
  const plan = { image, size, pixels, redrawn: nothing, added };
  return { painter, plan, name: 'outpaint', command: 'edit outpaint' };
}

/** @throws UserError for a prior that sees only what stands before a cell */
async function editorOf(o: PaintOptions): Promise<Painter> {
  const trained = await trainedFor(o);
  if (trained.prior.model.draws === 'anywhere') return painterOf(o, trained);
  throw expected(
    'a prior that draws anywhere in a picture',
    '--run',
    `${o.run}, whose prior.kind ${trained.config.prior.kind} draws in order`,
    'Train a tokenizer and a prior with prior.kind maskgit into another run; vqgen complete continues a picture with any.',
  );
}
