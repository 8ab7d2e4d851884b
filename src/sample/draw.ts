/** Pictures drawn from a source, one batch after another, each with its recipe. */
import { nth } from '../base/lookup.js';
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
};

/** How many pictures a call has. */
export const countOf = ({ told }: Source, { n }: DrawOptions): number => n * (told?.length ?? 1);

/** @param source stays open. @throws the signal's reason */
export async function* draw(source: Source, o: DrawOptions): AsyncGenerator<DrawnBatch> {
  const { batch, places, told } = source;
  const n = countOf(source, o);
  const recipe = recipeOf(source, o);
  const { chanceOf } = ofEach(told, o);
  const batches = Math.ceil(n / batch);
  const progress = o.reporter.progress({ label: 'Sample', total: batches * places, unit: 'places' });
  const recipeFor = (number: number, drawn: Drawn, row: number): string => {
    const [index = 0, file] = chanceOf(number);
    return recipeText({
      ...{ ...recipe, index },
      ...classOf(source, drawn, row),
      ...(told && file !== undefined && { condition: { sha256: nth(told, file).digest, number: file } }),
    });
  };
  try {
    for (let first = 0; first < n; first += batch) {
      const drawn = await source.draw(first, (place) =>
        progress.update((first / batch) * places + place + 1),
      );
      const { images, labels, seconds, unfinished } = drawn;
      const pictures = images.slice(0, n - first).map((image, row) => {
        const number = first + row;
        return { number, image, label: nth(labels, row), recipe: recipeFor(number, drawn, row) };
      });
      yield { pictures, seconds, unfinished };
      if (unfinished) o.signal?.throwIfAborted();
    }
  } finally {
    progress.stop();
  }
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
  const name = classes[labels[row] ?? -1];
  return name === undefined ? {} : { class: name };
}
