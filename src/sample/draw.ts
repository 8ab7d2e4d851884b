/** Pictures drawn from a source, one batch after another, each with its recipe. */
import { nth } from '../base/lookup.js';
import type { Range } from '../base/shard.js';
import { ofEach } from './prior-source.js';
import { type CommonRecipe, commonRecipe, type Recipe, recipeText } from './recipe.js';
import type { Drawn, Source, SourceOptions } from './source.js';

export interface DrawnPicture {
  /** Among all of the call. */
  readonly number: number;
  /** [S, S, 3] in about [−1, 1], or [`tall`, S, 3]. */
  readonly image: Float32Array;
  /** An index into the source's classes; −1 without. */
  readonly label: number;
  /** As text. */
  readonly recipe: string;
}

export interface DrawnBatch {
  readonly pictures: readonly DrawnPicture[];
  /** How long its latents took. */
  readonly seconds: number;
  /** As of `Drawn`: the last batch. */
  readonly unfinished?: boolean;
}

export type DrawOptions = SourceOptions & {
  /** Pictures; of a source that is told of files, of each. */
  readonly n: number;
  readonly again?: Recipe;
  /** Which of them, from a batch on; all unless given. */
  readonly part?: Range;
  /** Whether the pictures of a batch are there: they are not drawn then. */
  readonly areThere?: (numbers: readonly number[]) => Promise<boolean>;
};

/** How many pictures a call has. */
export const countOf = ({ told }: Source, { n }: DrawOptions): number => n * (told?.length ?? 1);

/** @param source stays open. @throws the signal's reason */
export async function* draw(source: Source, o: DrawOptions): AsyncGenerator<DrawnBatch> {
  const { batch, places } = source;
  const { part = { from: 0, to: countOf(source, o) }, areThere } = o;
  const recipeFor = recipesOf(source, o);
  const batches = Math.ceil((part.to - part.from) / batch);
  const progress = o.reporter.progress({ label: 'Sample', total: batches * places, unit: 'places' });
  try {
    for (let first = part.from; first < part.to; first += batch) {
      const numbers = Array.from({ length: Math.min(batch, part.to - first) }, (_, row) => first + row);
      const before = ((first - part.from) / batch) * places;
      if (await areThere?.(numbers)) {
        o.signal?.throwIfAborted();
        progress.update(before + places);
        continue;
      }
      const drawn = await source.draw(first, (place) => progress.update(before + place + 1));
      const { images, labels, seconds, unfinished } = drawn;
      const pictures = numbers.map((number, row) => {
        const label = nth(labels, row);
        return { number, image: nth(images, row), label, recipe: recipeFor(number, label) };
      });
      yield { pictures, seconds, unfinished };
      if (unfinished) o.signal?.throwIfAborted();
    }
  } finally {
    progress.stop();
  }
}

/** The recipe of a picture, as text, by its number and its class, an index into the source's. */
export function recipesOf(source: Source, o: DrawOptions): (number: number, label: number) => string {
  const { told, classes } = source;
  const recipe = recipeOf(source, o);
  const { chanceOf } = ofEach(told, o);
  return (number, label) => {
    const [index = 0, file] = chanceOf(number);
    return recipeText({
      ...{ ...recipe, index },
      ...classNamed(classes[label]),
      ...(told && file !== undefined && { condition: { sha256: nth(told, file).digest, number: file } }),
    });
  };
}

/** What all that the source draws has in its recipe. */
export function recipeOf(source: Source, o: SourceOptions & { readonly again?: Recipe }): CommonRecipe {
  const { seed, size, tall = size, weights, settings } = source;
  const { run, device, precision, only, again } = o;
  const extent = { width: size, height: tall };
  const command = 'sample';
  return commonRecipe({ command, run, weights, device, precision, extent, only, seed, settings, again });
}

/** Of one of what was drawn, for its recipe. */
export function classOf({ classes }: Source, { labels }: Drawn, row: number): Pick<Recipe, 'class'> {
  return classNamed(classes[labels[row] ?? -1]);
}

const classNamed = (name: string | undefined): Pick<Recipe, 'class'> =>
  name === undefined ? {} : { class: name };
