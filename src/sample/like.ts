/** `vqgen sample --like`: a picture or a grid drawn again by the recipe in it, and what differs from it. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { expected, UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { checkNoLinks } from '../base/obstacles.js';
import { float32 } from '../base/tensor.js';
import { runPaths } from '../checkpoint/run.js';
import { apart, wholePicture } from '../data/apart.js';
import { missing } from '../data/file-names.js';
import { endingOf } from '../data/grid.js';
import { type Picture, readPicture, reasonOf, withBytes, writePng } from '../data/pictures.js';
import { classOf, recipeOf } from './draw.js';
import { checkOutOrRun, joined } from './out.js';
import { differences, drawingIn, extentIn, type Recipe, recipeIn, recipeText, runName } from './recipe.js';
import { type SampleOptions, sample } from './sample.js';
import type { SourceOptions } from './source.js';
import { openSource } from './sources.js';

/** A picture that has a recipe. */
export interface Given {
  readonly file: string;
  readonly bytes: Buffer;
  readonly picture: Picture;
  readonly recipe: Recipe;
}

/** @throws UserError for a file that is missing or no picture, and as `recipeIn` */
export async function readGiven(file: string): Promise<Given> {
  const bytes = await withBytes(file, async (bytes) => bytes).catch((error) => {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const received = gone ? missing(file) : `${file}, which cannot be read (${reasonOf(error)})`;
    const next = 'Name a PNG as vqgen wrote it; a run keeps its pictures in samples/.';
    throw expected('a picture that vqgen sample drew', '--like', received, next, error);
  });
  const recipe = recipeIn(bytes, file);
  return { file, bytes, picture: await readPicture(file, wholePicture), recipe };
}

export interface LikeOptions
  extends Pick<
    SampleOptions,
    'run' | 'loaded' | 'open' | 'model' | 'condition' | 'device' | 'reporter' | 'signal'
  > {
  readonly given: Given;
  /** Where the picture goes, a PNG; among the run's samples unless given. */
  readonly out?: string;
}

export interface LikeSummary {
  readonly like: string;
  readonly run: string;
  /** What was drawn. */
  readonly file: string;
  /** Whether both files are the same, byte for byte. */
  readonly same: boolean;
  /** Otherwise in sentences. */
  readonly differs: readonly string[];
  readonly seed: number;
  readonly seconds: number;
}

/** @throws UserError as `sample`, for what sample did not draw, and where `condition` is not what the picture was told */
export async function like(o: LikeOptions): Promise<LikeSummary> {
  const started = performance.now();
  const { given, run, condition, model } = o;
  const { recipe } = given;
  checkOutOrRun(o.out, { run, read: [given.file, condition, model] });
  if (o.out !== undefined && !['', '.png'].includes(endingOf(o.out)))
    throw expected('a file that ends in .png', '--out', o.out, 'No other has the same bytes.');
  checkDrawn(given, condition);
  if (recipe.precision === 'int8') checkNoLinks(run, ['.cache']);
  const file = o.out ?? path.join(runPaths(run).samples, nameOf(given));
  const { index, images: n = 1, seed, only, condition: told } = recipe;
  const { run: _, loaded, device, reporter, signal, open } = o;
  const classes = recipe.class === undefined ? recipe.classes : [recipe.class];
  const options: SourceOptions & { again: Recipe } = {
    ...{ ...drawingIn(recipe), run, loaded, seed, n, only, classes, condition, again: recipe },
    ...{ extent: extentIn(recipe), precision: recipe.precision, device, reporter, signal },
  };
  const toldAs = told && { sha256: told.sha256, number: told.number ?? 0 };
  try {
    if (index === undefined) await sample({ ...options, n, open, model, out: file });
    else await drawOne(file, index, { ...options, toldAs, open });
  } catch (error) {
    if (!(error instanceof UserError) || runName(run) === recipe.run) throw error;
    throw expected(`the run that drew ${given.file}, ${recipe.run},`, '--run', run, error.message, error);
  }
  const now = await readGiven(file);
  const same = now.bytes.equals(given.bytes);
  return {
    ...{ like: given.file, run, file, same },
    differs: same ? [] : differing(given, now),
    ...{ seed, seconds: (performance.now() - started) / 1000 },
  };
}

/** `like-0003-1a2b3c4d.png`: what it is like keeps its place. */
function nameOf({ file, bytes }: Given): string {
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
  return `like-${joined([path.parse(file).name])}-${digest}.png`;
}

/** @throws UserError for a picture that the recipe and `condition` do not make */
function checkDrawn({ file, recipe }: Given, condition: string | undefined): void {
  if (recipe.command !== 'sample') {
    const next = 'It was made from another picture, which its recipe does not hold.';
    throw expected('a picture that vqgen sample drew', '--like', `${file}, of vqgen ${recipe.command}`, next);
  }
  if (recipe.condition && condition === undefined) {
    const what = recipe.index === undefined ? 'the files' : 'the file';
    throw expected(
      `${what} that ${file} was told of`,
      '--condition',
      'nothing',
      'The recipe holds only a checksum.',
    );
  }
  if (!recipe.condition && condition !== undefined)
    throw expected('nothing', '--condition', `${condition}, where ${file} was told of none`);
}

async function drawOne(
  file: string,
  index: number,
  o: SourceOptions & { readonly again: Recipe; readonly open: SampleOptions['open'] },
): Promise<void> {
  const source = await (o.open ?? openSource)(o);
  const { size, tall = size, places, batch } = source;
  const progress = o.reporter.progress({ label: 'Sample', total: places, unit: 'places' });
  try {
    const row = index % batch;
    const drawn = await source.draw(index - row, (place) => progress.update(place + 1));
    if (drawn.unfinished) o.signal?.throwIfAborted();
    const { condition } = o.again;
    const recipe = {
      ...recipeOf(source, o),
      index,
      ...classOf(source, drawn, row),
      ...(condition && { condition }),
    };
    const image = float32([tall, size, 3], must(drawn.images[row], 'image'));
    await writePng(file, image, recipeText(recipe));
  } finally {
    progress.stop();
    await source.dispose();
  }
}

/** In a sentence each, the pixels last. */
function differing(then: Given, now: Given): string[] {
  const known = differences(then.recipe, now.recipe);
  const far = apart(now.picture, then.picture);
  if (!far) return [...known, 'The pictures are of two sizes.'];
  if (far.differing === 0) {
    const pixels = 'The pixels are the same, all of them';
    return [
      ...known,
      known.length > 0 ? `${pixels}.` : `${pixels}: the file was written by another program.`,
    ];
  }
  const pixels = `${far.differing} of ${far.pixels} pixels differ, by ${far.most} of 255 at most`;
  const unknown = 'another processor, driver or number of threads rounds otherwise, or the file was changed';
  return [...known, known.length > 0 ? `${pixels}.` : `${pixels}: ${unknown}.`];
}
