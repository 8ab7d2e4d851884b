/** `vqgen sample`: pictures drawn from what the run has to draw from, written as PNGs and one grid. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import { checkNoLinks } from '../base/obstacles.js';
import type { Reporter } from '../base/progress.js';
import { float32 } from '../base/tensor.js';
import { arranged, captionsOf, mostColumns, mostPictures, writeGrid, writeVersions } from '../data/grid.js';
import { writePng } from '../data/pictures.js';
import type { Told } from './conditions.js';
import { countOf, draw, recipeOf } from './draw.js';
import type { Int8Loss } from './int8-loss.js';
import { checkOutOrRun, obstacleInSamples } from './out.js';
import { type Recipe, recipeText, sumOfTold } from './recipe.js';
import type { Source, SourceOptions } from './source.js';
import { openSource } from './sources.js';
import { filesOf, readDrawn } from './there.js';

export interface SampleOptions extends SourceOptions {
  /** Where the pictures go and, unless `open` is given, whose models draw. */
  readonly run: string;
  readonly open?: (o: SourceOptions) => Promise<Source>;
  /** The exported files that `open` reads. */
  readonly model?: string;
  readonly n: number;
  /** Where the grid goes; beside the pictures unless given. */
  readonly out?: string;
  /** The pictures are there: the grid is made of them. Their shards are named by their number, where it is given. */
  readonly merge?: { readonly shards?: number };
  /** The grid, which goes to `out`, is drawn again by this recipe; no single pictures are written. */
  readonly again?: Recipe;
}

export interface SampleSummary {
  readonly images: number;
  readonly grid: string;
  /** The single pictures; none where only `out` can be written. */
  readonly files: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  readonly tokens_per_second: number;
  /** The class of each image; only of a prior that knows classes. */
  readonly classes?: readonly string[];
  /** Only with int8 weights: what they cost, or null where there is nothing to measure it on. */
  readonly int8?: Int8Loss | null;
}

/** @throws UserError for no number of pictures */
export function checkNumber(n: number): void {
  if (!Number.isInteger(n) || n < 1) throw expected('a positive whole number', '--n', n);
}

/** @throws UserError as the source does, and where nothing can be written */
export async function sample(o: SampleOptions): Promise<SampleSummary> {
  checkNumber(o.n);
  checkOutOrRun(o.out, { run: o.run, read: [o.condition, o.model] });
  if (o.precision === 'int8') checkNoLinks(o.run, ['.cache']);
  const obstacle = obstacleInSamples(o.run);
  const single = !obstacle && !o.again && !o.merge;
  if (obstacle && !o.again && !o.merge)
    o.reporter.warn(`Only the grid is written, no single pictures: ${o.run} takes none, ${obstacle}.`);
  const started = performance.now();
  let drawing = 0;
  const source = await (o.open ?? openSource)(o);
  const { seed, size, tall = size, tokens, int8, classes, told } = source;
  const n = countOf(source, o);
  const { folder, fileOf } = filesOf(source, o);
  const shown: Float32Array[] = [];
  const files: string[] = [];
  const labels: number[] = [];
  let tellings: Tellings | undefined;
  try {
    const batches = o.merge ? readDrawn(source, o, o.merge) : draw(source, o);
    for await (const { pictures, seconds, unfinished } of batches) {
      drawing += seconds;
      for (const { number, image, label, recipe } of pictures) {
        if (single) {
          const file = fileOf(number, unfinished ? '-unfinished' : '');
          await writePng(file, float32([tall, size, 3], image), unfinished ? undefined : recipe);
          files.push(file);
          if (unfinished) o.reporter.note(`What is drawn of it so far: ${file}`);
        }
        if (o.merge) files.push(fileOf(number));
        if (shown.length < mostPictures(Math.max(size, tall))) shown.push(image);
        labels.push(label);
      }
    }
    tellings = told && (await rowsTold(told.slice(0, Math.max(1, Math.floor(shown.length / o.n)))));
  } finally {
    await source.dispose();
  }
  if (single || o.merge) await tellOfOthers(folder, files, o.reporter);
  const grid = o.out ?? path.join(folder, 'grid.png');
  if (shown.length < n) o.reporter.note(`The grid shows the first ${shown.length} of ${n} images.`);
  const text = recipeText({
    ...{ ...recipeOf(source, o), images: o.n },
    ...(o.classes && { classes: [...o.classes] }),
    ...(told && { condition: { sha256: sumOfTold(told) } }),
  });
  if (tellings) await writeTold(grid, tellings, shown, { n: o.n, size, tall, text });
  else await writeGridOf(grid, shown, { size, tall, labels, classes, text, reporter: o.reporter });
  return {
    images: n,
    grid,
    files,
    seed,
    seconds: (performance.now() - started) / 1000,
    tokens_per_second: drawing > 0 ? (n * tokens) / drawing : 0,
    ...(labels.some((label) => label >= 0) && { classes: take(classes, labels) }),
    ...(int8 !== undefined && { int8 }),
  };
}

/** Pictures of an earlier call stay, and are not of this one. */
async function tellOfOthers(folder: string, files: readonly string[], { note }: Reporter): Promise<void> {
  const others = (await fs.readdir(folder)).filter(
    (name) => /\d+\.png$/.test(name) && !files.includes(path.join(folder, name)),
  );
  if (others.length > 0) note(`${folder} also holds ${others.length} pictures of an earlier call.`);
}

/** What is shown of files: photographs, of maps none, and what is told of them. */
interface Tellings {
  readonly photographs: readonly Float32Array[];
  readonly told: readonly Float32Array[];
}

async function rowsTold(files: readonly Told[]): Promise<Tellings> {
  const [photographs, told]: [Float32Array[], Float32Array[]] = [[], []];
  for (const { read } of files) {
    const telling = await read();
    photographs.push(...(telling.photograph ? [telling.photograph] : []));
    told.push(await telling.shown());
  }
  return { photographs, told };
}

/** Photographs, what is told of them, and below it what was drawn. */
async function writeTold(
  file: string,
  { photographs, told }: Tellings,
  images: readonly Float32Array[],
  o: { n: number; size: number; tall: number; text: string },
): Promise<void> {
  const draws = Array.from({ length: o.n }, (_, i) => told.flatMap((_, j) => images[j * o.n + i] ?? []));
  await writeVersions(
    file,
    [photographs, told, ...draws].filter(({ length }) => length === told.length),
    o,
  );
}

/** Every class in columns of its own, under its name. */
async function writeGridOf(
  file: string,
  images: readonly Float32Array[],
  o: {
    size: number;
    tall: number;
    /** Of the images and more. */
    labels: readonly number[];
    classes: readonly string[];
    text: string;
    reporter: Reporter;
  },
): Promise<void> {
  const labels = o.labels.slice(0, images.length);
  const { columns, cells } = arranged(labels, mostColumns(o.size));
  const drawn = [...new Set(o.labels)].flatMap((label) => o.classes[label] ?? []);
  const names = captionsOf(drawn, o.size);
  const nameOf = (cell: number | undefined): string | undefined =>
    cell === undefined ? undefined : names[drawn.indexOf(o.classes[labels[cell] ?? -1] ?? '')];
  const captions = cells.map(nameOf).map((name, i, all) => {
    const before = [all[i - columns], i % columns > 0 ? all[i - 1] : undefined];
    return before.includes(name) ? undefined : name;
  });
  const numbered = names.flatMap((name, i) => (name === `#${i + 1}` ? `${name} ${drawn[i]}` : []));
  if (numbered.length > 0) o.reporter.note(`In the grid: ${numbered.join(', ')}.`);
  await writeGrid(
    file,
    cells.map((cell) => (cell === undefined ? undefined : images[cell])),
    { size: o.size, tall: o.tall, columns, captions, text: o.text },
  );
}
