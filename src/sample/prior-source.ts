/** Codes drawn from a prior, decoded by the tokenizer. */
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import { type Disposable, opened } from '../base/opened.js';
import { stream } from '../base/rng.js';
import { weightsSum } from '../checkpoint/content-sum.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch } from '../data/inference-batch.js';
import type { Graph, Precision } from '../engine/device.js';
import { byGrid, cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram } from '../stage1-vqgan/programs.js';
import { blankCanvas, unknown } from '../stage2-transformer/canvas.js';
import type { Drawer, Opening, Prior } from '../stage2-transformer/prior.js';
import { drawnGrids, drawTold } from '../stage2-transformer/told.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import { openConditioner } from '../tokenize/conditions/index.js';
import { choiceOf, growthOf, guidanceOf, passesOf, settingsOf } from './choices.js';
import { chosenClasses, inTurn } from './classes.js';
import { digestOf, type Told, toldBy, toldRows } from './conditions.js';
import { type Int8Loss, reportInt8Loss } from './int8-loss.js';
import { loadedOf, tellOfBest } from './loaded.js';
import { joined, samplesName } from './out.js';
import { type Source, type SourceOptions, sampleBatch } from './source.js';

/** A trained prior and its decoder, not opened yet. */
export interface Models {
  readonly config: Config;
  readonly prior: Prior;
  /** What it is told of pictures beside their classes. */
  readonly record?: ConditionRecord;
  readonly weights: Source['weights'];
  open(
    o: Opening & {
      /** Images at a time. */
      readonly decodeBatch: number;
    },
  ): Promise<{ drawer: Drawer; decoder: Graph<never, 'images'>; int8?: Int8Loss | null }>;
}

/** @throws UserError for a run without a trained tokenizer and prior, or settings out of range */
export const priorSource = (o: SourceOptions, models?: Models): Promise<Source> =>
  opened((note) => openPrior(o, models, note));

async function openPrior(
  o: SourceOptions,
  models: Models | undefined,
  note: <D extends Disposable>(thing: D) => D,
): Promise<Omit<Source, 'dispose'>> {
  const { config, prior, record, weights, open } = models ?? (await modelsOf(o));
  const grids = drawnGrids(prior);
  const { classes } = prior.condition;
  const conditioner = o.toldOf || !record ? undefined : note(await openConditioner(record, o));
  const told = o.toldOf ? undefined : await toldBy(o, { config, conditioner });
  const { size } = config.data;
  const decodeBatch = inferenceBatch(size);
  const { seed, name, settings, cfgScale, passes, classOf, ...how } = drawingOf(o, config, prior, told);
  const { fileOf, chanceOf } = ofEach(told, o);
  const toldOf = async (i: number) => o.toldOf?.(i) ?? fileOf(i)?.codes();
  const batch = batchFor(o, told?.length);
  const { drawer, decoder, int8 } = await open({ batch, cfgScale, decodeBatch });
  note(drawer);
  note(decoder);
  const cells = cellsIn(grids);
  return {
    seed,
    name,
    size,
    batch,
    places: passes?.steps ?? cellsIn(prior.grids),
    told,
    tokens: cells,
    classes,
    settings,
    weights,
    int8,
    async draw(first, onPlace) {
      const before = performance.now();
      // The last batch draws images that nobody asked for, too: a padded place would be another place.
      const numbers = Array.from({ length: batch }, (_, row) => first + row);
      const random = numbers.map((i) => stream(seed, 'sample', ...chanceOf(i)));
      const labels = Int32Array.from(numbers, classOf);
      const drawing = { ...how, passes, random, onPlace, signal: o.signal };
      const codes = await drawTold(drawer, prior, blankCanvas(cells, labels), {
        ...drawing,
        told: toldRows(prior, await Promise.all(numbers.map(toldOf))),
      });
      const seconds = (performance.now() - before) / 1000;
      return { seconds, labels, images: await decodeImages(decoder, codes, { batch: decodeBatch, grids }) };
    },
  };
}

/** How a prior draws for a call, and what that is called. @throws UserError for settings out of range */
export function drawingOf(o: SourceOptions, config: Config, prior: Prior, told?: readonly Told[]) {
  const { condition } = prior;
  const { classes } = condition;
  const choice = choiceOf(o, config.sample, Math.max(...drawnGrids(prior).map(({ vocab }) => vocab)));
  const seed = o.seed ?? config.seed;
  const greedyFrom = endOfOnly(o.only, prior);
  const chosen = chosenClasses(o.classes, classes);
  const asked = o.classOf ?? inTurn(chosen);
  const { drawOf } = ofEach(told, o);
  const untold = classes.length === 0 || (told && !o.classes && config.prior.class_dropout > 0);
  const acting = told || o.toldOf ? condition : { classes, grids: [] };
  const cfgScale = guidanceOf(o.cfgScale, config, acting);
  const growth = growthOf({ cfgGrowth: o.cfgGrowth, cfgScale }, config, prior);
  const passes = passesOf(o, config, prior);
  const { precision, only } = o;
  const chosenOf = { seed, choice, cfgScale, growth, passes, precision, only };
  return {
    ...{ seed, choice, cfgScale, growth, passes, greedyFrom },
    /** Of a picture by its number, `unknown` where the prior knows none. */
    classOf: (i: number) => (untold ? unknown : asked(drawOf(i))),
    name:
      samplesName({ ...chosenOf, classes: take(classes, chosen) }, usualOf(config, prior)) +
      (told ? `_condition-${joined([digestOf(told).first])}-${digestOf(told).digest}` : ''),
    settings: settingsOf({
      ...{ choice, growth, passes },
      ...(classes.length + condition.grids.length > 0 && { cfgScale }),
    }),
  };
}

/**
 * By a picture's number: the file of which it is told, its number among the `n` pictures of that file, and what its
 * chance is drawn from, which does not depend on `n`.
 */
export function ofEach(
  told: readonly Told[] | undefined,
  { n = 1, toldAs }: Pick<SourceOptions, 'n' | 'toldAs'>,
) {
  if (toldAs)
    return { fileOf: () => told?.[0], drawOf: (i: number) => i, chanceOf: (i: number) => [i, toldAs.number] };
  return {
    fileOf: (i: number) => told?.[Math.floor(i / n)],
    drawOf: (i: number) => (told ? i % n : i),
    chanceOf: (i: number) => (told ? [i % n, Math.floor(i / n)] : [i]),
  };
}
/** A run's. Nothing but `open` keeps the weights, of which the sessions have copies. */
async function modelsOf(o: SourceOptions): Promise<Models> {
  const { run, device, precision, reporter, signal } = o;
  const trained = await loadedOf(o).models();
  const { config, prior, tokenizer } = trained;
  chosenClasses(o.classes, prior.classes); // A mistake is told before anything else is.
  endOfOnly(o.only, prior.model);
  checkPrecision(precision, prior.model);
  tellOfBest(trained, reporter);
  return {
    config,
    prior: prior.model,
    record: prior.told,
    weights: weightsOf({ prior, tokenizer }),
    async open({ decodeBatch, ...opening }) {
      const int8 =
        precision === 'int8'
          ? await reportInt8Loss({ run, config, prior, tokenizer, device, reporter, signal })
          : undefined;
      const decoder = await device.prepare(decodeProgram(modelOf(config), tokenizer.tensors, decodeBatch));
      try {
        const drawer = await prior.model.open(device, prior.tensors, { ...opening, precision });
        return { decoder, drawer, int8 };
      } catch (error) {
        await decoder.dispose();
        throw error;
      }
    },
  };
}

export const weightsOf = (o: Record<'tokenizer' | 'prior', TrainedModel>): Source['weights'] => ({
  tokenizer: weightsSum(o.tokenizer.tensors),
  prior: weightsSum(o.prior.tensors),
});

/** codes [B, T] → images [S, S, 3], decoded in batches of one size. */
export async function decodeImages(
  decoder: Graph<never, 'images'>,
  codes: Int32Array,
  { batch, grids }: { batch: number; grids: readonly Grid[] },
): Promise<Float32Array[]> {
  const images: Float32Array[] = [];
  const cells = cellsIn(grids);
  for (let at = 0; at < codes.length; at += batch * cells) {
    const full = new Int32Array(batch * cells);
    const part = codes.subarray(at, at + full.length);
    full.set(part);
    const decoded = await decoder.run(byGrid(grids, full));
    for (let i = 0; i < part.length / cells; i++) images.push(imageAt(decoded.images, i));
  }
  return images;
}

/**
 * The place behind the grid that `--only` names, from which on the likeliest codes are taken; none where it names
 * none.
 *
 * @throws UserError for what is no grid, and where there is but one
 */
function endOfOnly(only: string | undefined, { grids, condition }: Prior): number | undefined {
  if (only === undefined) return undefined;
  const names = grids.slice(condition.grids.length).map(({ name }) => name);
  if (names.length === 1) {
    throw expected('nothing', '--only', `${only}, where the codes of an image are a single grid`);
  }
  if (!names.includes(only)) throw expected(`one of ${names.join(', ')}`, '--only', only);
  return cellsIn(grids.slice(0, grids.findLastIndex(({ name }) => name === only) + 1));
}

/** @throws UserError for one that the prior does not draw with */
export function checkPrecision(given: Precision = 'f32', { precisions, described }: Prior): void {
  if (precisions[given]) return;
  throw expected(
    Object.keys(precisions).join(' or '),
    '--precision',
    `${given} of a prior with no such products (${described})`,
  );
}

/** What is drawn of a run unless a call says otherwise. */
function usualOf(config: Config, prior: Prior) {
  const { sample } = config;
  const { temperature, top_k: topK, top_p: topP } = sample;
  const { classes } = prior.condition;
  const cfgScale = guidanceOf(undefined, config, prior.condition);
  return {
    choice: { temperature, topK, topP },
    cfgScale,
    growth: growthOf({ cfgScale }, config, prior),
    passes: passesOf({}, config, prior),
    classes,
  };
}

/**
 * Canvases at a time, of `n` for each of the files that are told. On the CPU time goes by their number, and what a row
 * comes to does not depend on how many there are, to the bit; elsewhere a batch is always full.
 */
function batchFor({ device, n }: Pick<SourceOptions, 'device' | 'n'>, files = 1): number {
  if (device.name !== 'cpu' || n === undefined) return sampleBatch;
  return Math.min(sampleBatch, 2 ** Math.ceil(Math.log2(n * files)));
}
