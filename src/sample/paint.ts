/**
 * What `complete` and `edit` share: a run's prior draws the missing cells of a picture, several times, and what it
 * drew is laid over what was kept.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { stream } from '../base/rng.js';
import { float32 } from '../base/tensor.js';
import { runPaths } from '../checkpoint/run.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { type PictureSource, writePng } from '../data/pictures.js';
import type { Device } from '../engine/device.js';
import { cellsIn, endToEnd } from '../stage1-vqgan/grids.js';
import { checkCodes, modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../stage1-vqgan/programs.js';
import { unknown } from '../stage2-transformer/canvas.js';
import type { Choice } from '../stage2-transformer/choose.js';
import type { Growth } from '../stage2-transformer/guidance.js';
import { listed } from '../stage2-transformer/model.js';
import type { Passes } from '../stage2-transformer/passes.js';
import { drawnGrids, drawTold } from '../stage2-transformer/told.js';
import { choiceOf, growthOf, guidanceOf, passesOf, settingsOf } from './choices.js';
import { chosenClasses, inTurn } from './classes.js';
import { codesIn } from './code-sheet.js';
import { type Loaded, loadedOf, type TrainedRun, tellOfBest } from './loaded.js';
import { checkOutOrRun, joined, obstacleInSamples, samplesName } from './out.js';
import { decodeImages, weightsOf } from './prior-source.js';
import { type CommonRecipe, commonRecipe, recipeText } from './recipe.js';
import { copyOf, extentOf, lay, type Plan, type Scene, sceneOf } from './scene.js';
import { writeProposals } from './sheet.js';
import type { DrawingOptions } from './source.js';

export interface PaintOptions extends DrawingOptions {
  readonly run: string;
  /** Of the run; read from its folder unless given. */
  readonly loaded?: Loaded;
  readonly image: PictureSource;
  /** Of what is redrawn; not every command has one. */
  readonly mask?: PictureSource;
  /** Proposals; 4 unless given. */
  readonly n?: number;
  /** What is to be seen, by names that the prior knows, in turn; without, it is not told. */
  readonly classes?: readonly string[];
  /** The config's unless given. */
  readonly seed?: number;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** Of a command, which reads and writes files. */
export interface PaintFiles {
  readonly image: string;
  readonly mask?: string;
  /** Where the picture of them all goes; beside the single ones unless given. */
  readonly out?: string;
}

/** What a command asks for, and of whom. */
export interface Painting {
  readonly painter: Painter;
  readonly plan: Plan;
  /** What is done, for the folder: `inpaint`. */
  readonly name: string;
  /** For the recipe: `edit inpaint`. */
  readonly command: string;
}

export interface PaintSummary {
  readonly images: number;
  /** Share of the cells of the result that are the picture's. */
  readonly kept: number;
  readonly grid: string;
  /** The proposals; none where only `out` can be written. */
  readonly files: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  /** The class of each; only where any was named. */
  readonly classes?: readonly string[];
}

/** Proposals drawn at a time: always as many, so that none depends on how many were asked for. */
const paintBatch = 4;
const usualProposals = 4;

/** A run's models and all that was chosen of how they draw, checked. */
export interface Painter extends TrainedRun {
  readonly choice: Choice;
  readonly cfgScale: number;
  readonly growth: Growth;
  readonly passes?: Passes;
  /** Indices into the prior's classes, in turn; none: without. */
  readonly chosen: readonly number[];
}

/** @throws UserError for a run without a trained tokenizer and prior, or settings out of range */
export async function painterOf(o: PaintOptions, trained?: TrainedRun): Promise<Painter> {
  const whole = trained ?? (await trainedFor(o));
  const { config, prior } = whole;
  const { classes, model } = prior;
  const { n = usualProposals } = o;
  if (!Number.isInteger(n) || n < 1) throw expected('a positive whole number', '--n', n);
  const vocab = Math.max(...drawnGrids(model).map((grid) => grid.vocab));
  const choice = choiceOf(o, config.sample, vocab);
  const chosen = o.classes ? chosenClasses(o.classes, classes) : [];
  checkUntold(o, whole);
  const cfgScale = chosen.length > 0 ? guidanceOf(o.cfgScale, config, model.condition) : 1;
  const passes = passesOf(o, config, model);
  const growth = growthOf({ cfgGrowth: o.cfgGrowth, cfgScale }, config, model);
  return { ...whole, choice, cfgScale, growth, passes, chosen };
}

/** @throws UserError where a command can write nothing, before the work */
export const checkPlaces = ({ out, run, image, mask }: PaintFiles & { run: string }): void =>
  checkOutOrRun(out, { run, read: [image, mask] });

/** @throws UserError for a run without a trained tokenizer and prior */
export async function trainedFor(o: PaintOptions): Promise<TrainedRun> {
  const loaded = loadedOf(o);
  checkCodes(loaded.config, o.run);
  const trained = await loaded.models();
  tellOfBest(trained, o.reporter);
  return trained;
}

/** @throws UserError where no class is named, or nothing is told of a picture, and that cannot be */
function checkUntold({ classes, cfgScale, run }: PaintOptions, { config, prior }: TrainedRun): void {
  if (prior.told && config.prior.class_dropout === 0) {
    const received = `${run}, whose prior never learned to draw without (prior.class_dropout was 0)`;
    throw expected(`a prior that need not be told of ${prior.told.kind}`, '--run', received);
  }
  if (classes) return;
  if (cfgScale !== undefined && cfgScale !== 1) {
    throw expected('1', '--cfg-scale', `${cfgScale}, without a class`, 'Name one: --class NAME.');
  }
  if (prior.classes.length > 0 && config.prior.class_dropout === 0) {
    throw expected(
      'a class',
      '--class',
      'none, where prior.class_dropout was 0',
      `The prior never learned to draw without one; it knows ${listed(prior.classes)}.`,
    );
  }
}

/**
 * How the prior goes about it: the one place of `complete` and `edit` that says so.
 *
 * @returns `steps`: calls of `onPlace` for a canvas
 */
function drawingOf({ choice, growth, passes, prior }: Painter) {
  return { choice, growth, passes, steps: passes?.steps ?? cellsIn(prior.model.grids) };
}

export interface Painted {
  /** Before anything was drawn. */
  readonly scene: Scene;
  /** The proposals, each with its class where any was named, and its recipe as text. */
  readonly drawn: readonly {
    readonly picture: Float32Array;
    readonly class?: string;
    readonly recipe: string;
  }[];
  /** What all of them share. */
  readonly recipe: CommonRecipe;
  /** Share of the cells that are the picture's. */
  readonly kept: number;
}

/** Draws what is asked for. */
export async function paint(painting: Painting, o: PaintOptions): Promise<Painted> {
  const { painter, plan, command } = painting;
  const { config, prior, chosen, choice, cfgScale, growth, passes } = painter;
  const { n = usualProposals, seed = config.seed, run } = o;
  const { scene, drawn } = await drawAll(painter, plan, { ...o, n, seed });
  const guided = chosen.length > 0 ? { cfgScale } : {};
  const recipe = commonRecipe({
    ...{ command, run, weights: weightsOf(painter), device: o.device, seed },
    ...{ extent: extentOf(scene), plan: sumOf(plan) },
    settings: settingsOf({ choice, growth, passes, ...guided }),
  });
  const classes = take(prior.classes, chosen);
  const cells = scene.codes.reduce((sum, { length }) => sum + length, 0);
  const open = scene.codes.reduce((sum, codes) => sum + codes.filter((code) => code === unknown).length, 0);
  return {
    ...{ scene, recipe, kept: 1 - open / cells },
    drawn: drawn.map((picture, index) => {
      const of = chosen.length > 0 && { class: must(classes[index % classes.length], 'class') };
      return { picture, ...of, recipe: recipeText({ ...recipe, index, ...of }) };
    }),
  };
}

/** Draws what is asked for and writes it. */
export async function paintFiles(painting: Painting, o: PaintOptions & PaintFiles): Promise<PaintSummary> {
  const started = performance.now();
  const { painter, plan, name } = painting;
  const { config, prior, chosen, choice, cfgScale, growth, passes } = painter;
  const { n = usualProposals, seed = config.seed, run, reporter } = o;
  const classes = take(prior.classes, chosen);
  const settings = { choice, cfgScale, growth, passes, classes };
  const { temperature, top_k: topK, top_p: topP } = config.sample;
  const usualScale = chosen.length > 0 ? config.sample.cfg_scale : 1;
  const usualPasses = passesOf({}, config, prior.model);
  const usual = {
    choice: { temperature, topK, topP },
    cfgScale: usualScale,
    growth: growthOf({ cfgScale: usualScale }, config, prior.model),
    passes: usualPasses,
    classes: [],
  };
  const folder = path.join(
    runPaths(run).samples,
    `${name}-${joined([path.parse(o.image).name])}-${sumOf(plan).slice(0, 8)}_${samplesName({ seed, ...settings }, usual)}`,
  );
  const obstacle = obstacleInSamples(run);
  if (obstacle)
    reporter.warn(`Only one picture of all is written, no single ones: ${run} takes none, ${obstacle}.`);

  const { scene, drawn, recipe, kept } = await paint(painting, o);
  const files: string[] = [];
  const { width, height } = extentOf(scene);
  for (const [i, { picture, recipe }] of drawn.entries()) {
    if (obstacle) break;
    const file = path.join(folder, `${`${i}`.padStart(4, '0')}.png`);
    await writePng(file, float32([height, width, 3], picture), recipe);
    files.push(file);
  }
  const ofEach = drawn.flatMap(({ class: name }) => name ?? []);
  const grid = o.out ?? path.join(folder, 'grid.png');
  const text = recipeText({ ...recipe, images: n, ...(chosen.length > 0 && { classes: [...classes] }) });
  const pictures = drawn.map(({ picture }) => picture);
  await writeProposals(grid, scene, pictures, { classes: ofEach, text, reporter });
  return {
    ...{ images: n, kept, grid, files, seed },
    seconds: (performance.now() - started) / 1000,
    ...(chosen.length > 0 && { classes: ofEach }),
  };
}

/** Tells pictures and what is to be drawn of them apart. */
function sumOf({ image, pixels, redrawn, added }: Plan): string {
  const hash = createHash('sha256').update(new Uint8Array(image.buffer, image.byteOffset, image.byteLength));
  for (const part of [pixels, ...redrawn, JSON.stringify(added)]) hash.update(part);
  return hash.digest('hex');
}

/** @returns the scene before anything was drawn, and the proposals, [H, W, 3] each */
async function drawAll(
  painter: Painter,
  plan: Plan,
  o: PaintOptions & { readonly n: number; readonly seed: number },
): Promise<{ scene: Scene; drawn: Float32Array[] }> {
  const { config, prior, tokenizer, cfgScale, chosen } = painter;
  const { device, n, seed, signal } = o;
  const grids = drawnGrids(prior.model);
  const scene = sceneOf(plan, await encoded(painter, plan, device), grids);
  const { steps, ...how } = drawingOf(painter);
  const windows = scene.windows.filter((window) => codesIn(scene, window).includes(unknown));
  const batches = Math.ceil(n / paintBatch);
  const decodeBatch = Math.min(paintBatch, inferenceBatch(plan.size));
  const decoder = await device.prepare(decodeProgram(modelOf(config), tokenizer.tensors, decodeBatch));
  const progress = o.reporter.progress({
    ...{ label: 'Draw', total: batches * windows.length * steps, unit: 'places' },
  });
  const drawn: Float32Array[] = [];
  let done = 0;
  try {
    const drawer = await prior.model.open(device, prior.tensors, { batch: paintBatch, cfgScale });
    try {
      for (let first = 0; first < n; first += paintBatch) {
        const numbers = Array.from({ length: paintBatch }, (_, row) => first + row);
        const scenes = numbers.map(() => copyOf(scene));
        const random = numbers.map((i) => stream(seed, 'edit', i));
        const labels = Int32Array.from(numbers, (i) => (chosen.length > 0 ? inTurn(chosen)(i) : unknown));
        for (const window of windows) {
          const known = Int32Array.from(scenes.flatMap((scene) => [...codesIn(scene, window)]));
          const onPlace = (place: number) => progress.update(done + place + 1);
          const canvas = { codes: known, labels };
          const codes = await drawTold(drawer, prior.model, canvas, { ...how, random, onPlace, signal });
          const images = await decodeImages(decoder, codes, { batch: decodeBatch, grids });
          const cells = codes.length / paintBatch;
          for (const [i, scene] of scenes.entries()) {
            lay(scene, window, codes.subarray(i * cells, (i + 1) * cells), must(images[i], 'image'));
          }
          done += steps;
        }
        drawn.push(...scenes.slice(0, n - first).map(({ picture }) => picture));
      }
    } finally {
      await drawer.dispose();
    }
  } finally {
    progress.stop();
    await decoder.dispose();
  }
  return { scene, drawn };
}

/** [T] of the plan's image. */
async function encoded(
  { config, prior, tokenizer }: Painter,
  plan: Plan,
  device: Device,
): Promise<Int32Array> {
  const encoder = await device.prepare(encodeProgram(modelOf(config), tokenizer.tensors, 1));
  try {
    const { size, image } = plan;
    return endToEnd(
      drawnGrids(prior.model),
      await encoder.run({ images: float32([1, size, size, 3], image) }),
    );
  } finally {
    await encoder.dispose();
  }
}
