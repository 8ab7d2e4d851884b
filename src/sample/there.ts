/** Pictures that lie where a call of `vqgen sample` puts them, drawn by other processes or before. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { parseJson } from '../base/json.js';
import { nth } from '../base/lookup.js';
import { rangeOf, shardText } from '../base/shard.js';
import { runPaths } from '../checkpoint/run.js';
import { wholePicture } from '../data/apart.js';
import { fromBytes } from '../data/pictures.js';
import { textIn } from '../data/png-text.js';
import { countOf, type DrawnBatch, type DrawnPicture, type DrawOptions, recipesOf } from './draw.js';
import { joined } from './out.js';
import { longestRecipe } from './recipe.js';
import type { Source } from './source.js';

/** Where the single pictures of a call go. */
export function filesOf({ name, told }: Source, { run, n }: DrawOptions) {
  const folder = path.join(runPaths(run).samples, name);
  const nameOf = (i: number): string => {
    const number = `${i % n}`.padStart(Math.max(4, `${n - 1}`.length), '0');
    const of = told?.[Math.floor(i / n)];
    return of ? `${joined([of.name])}-${number}` : number;
  };
  return {
    folder,
    fileOf: (number: number, ending = '') => path.join(folder, `${nameOf(number)}${ending}.png`),
  };
}

/** Finds pictures of a call by their number: those that are there with the recipe that they would be drawn by. */
export function pictureFinder(source: Source, o: DrawOptions) {
  const { fileOf } = filesOf(source, o);
  const recipeFor = recipesOf(source, o);
  return async (number: number): Promise<(Omit<DrawnPicture, 'image'> & { bytes: Buffer }) | undefined> => {
    const bytes = await fs.readFile(fileOf(number)).catch(() => undefined);
    const recipe = bytes && textOf(bytes);
    if (!bytes || recipe === undefined) return undefined;
    const label = source.classes.indexOf(classIn(recipe));
    return recipe === recipeFor(number, label) ? { number, label, recipe, bytes } : undefined;
  };
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return textIn(bytes, longestRecipe);
  } catch {
    return undefined;
  }
}

function classIn(recipe: string): string {
  try {
    const { class: name = '' } = parseJson(recipe) as { class?: string };
    return name;
  } catch {
    return '';
  }
}

/**
 * All pictures of a call as `draw` gives them, from their files.
 *
 * @param o.shards by how many they were drawn, to name those whose pictures are missing
 * @throws UserError, after the last, where some are missing or drawn otherwise
 */
export async function* readDrawn(
  source: Source,
  o: DrawOptions,
  { shards }: { shards?: number },
): AsyncGenerator<DrawnBatch> {
  const { size, tall = size } = source;
  const total = countOf(source, o);
  const find = pictureFinder(source, o);
  const missing: number[] = [];
  const progress = o.reporter.progress({ label: 'Reading pictures', total, unit: 'images' });
  try {
    for (let number = 0; number < total; number++) {
      o.signal?.throwIfAborted();
      const found = await find(number);
      const picture = found && (await wholePicture(found.bytes).catch(() => undefined));
      if (found && picture?.width === size && picture.height === tall)
        yield { pictures: [{ ...found, image: fromBytes(picture.data) }], seconds: 0 };
      else missing.push(number);
      progress.update(number + 1);
    }
  } finally {
    progress.stop();
  }
  if (missing.length > 0) throw withoutPictures(source, o, missing, shards);
}

function withoutPictures(source: Source, o: DrawOptions, missing: readonly number[], shards = 0): UserError {
  const { folder, fileOf } = filesOf(source, o);
  const total = countOf(source, o);
  const all = Array.from({ length: shards }, (_, i) => ({ index: i + 1, count: shards }));
  const without = all.filter((shard) => {
    const { from, to } = rangeOf(shard, total, source.batch);
    return missing.some((number) => number >= from && number < to);
  });
  const again = without.map((shard) => `vqgen sample --shard ${shardText(shard)}`).join(', then ');
  const first = path.basename(fileOf(nth(missing, 0)));
  return expected(
    'every picture',
    '--merge',
    `${folder}, where ${missing.length} of ${total} are missing or drawn otherwise, ${first} first`,
    again
      ? `Run ${again}, as the others were run.`
      : 'Run their shards again; which they are is said with --shards N.',
  );
}
