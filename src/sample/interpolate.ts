/**
 * `vqgen interpolate`: from one picture to another, or to what it would be as another class, on a straight line and on
 * an arc through the latent space. Of models with codes the way goes through z, before it becomes codes.
 */

import path from 'node:path';
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { float32, sizeOf } from '../base/tensor.js';
import { runPaths } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { imageAt, mostColumns, writeGrid } from '../data/grid.js';
import type { PictureSource } from '../data/pictures.js';
import { readEvalImage } from '../data/reading.js';
import type { Device } from '../engine/device.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { walkPrograms } from '../stage1-vqgan/programs.js';
import { chosenClasses } from './classes.js';
import { type Loaded, loadedOf } from './loaded.js';
import { classMeans } from './numbers-source.js';
import { checkOutOrRun } from './out.js';
import { arc, straight } from './ways.js';

export interface WalkOptions {
  readonly run: string;
  /** Of the run; read from its folder unless given. */
  readonly loaded?: Loaded;
  /** Two pictures, or one where `classes` are given. */
  readonly images: readonly PictureSource[];
  /** From this class to that one: names of a model that knows classes. */
  readonly classes?: readonly string[];
  /** Pictures from one end to the other, both ends included; 9 unless given. */
  readonly steps?: number;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface InterpolateOptions extends WalkOptions {
  readonly images: readonly string[];
  readonly out?: string;
}

export interface InterpolateSummary {
  readonly steps: number;
  readonly out: string;
}

const usualSteps = 9;

/** @throws UserError as `walk`, and where nothing can be written or shown */
export async function interpolate(o: InterpolateOptions): Promise<InterpolateSummary> {
  const { loaded = loadedOf(o), steps = usualSteps } = o;
  checkOutOrRun(o.out, { run: o.run, read: o.images });
  const { size } = loaded.config.data;
  checkSteps(steps, mostColumns(size));
  const { ends, walked } = await walk(['straight', 'arc'], { ...o, loaded });
  const out = o.out ?? path.join(runPaths(o.run).samples, 'interpolation.png');
  const shown = Array.from({ length: steps }, (_, i) =>
    i === 0 ? ends[0] : i === steps - 1 ? ends[1] : undefined,
  );
  const captions = ['straight', 'arc'].flatMap((name) => [name, ...new Array<undefined>(steps - 1)]);
  await writeGrid(out, [...shown, ...walked.flat()], {
    size,
    columns: steps,
    captions: [...shown.map((image) => (image ? 'picture' : undefined)), ...captions],
  });
  return { steps, out };
}

/** @param most none unless given */
function checkSteps(steps: number, most?: number): void {
  if (Number.isInteger(steps) && steps >= 2 && steps <= (most ?? steps)) return;
  const range = most === undefined ? 'of at least 2' : `from 2 to ${most}`;
  throw expected(`a whole number ${range}`, '--steps', steps, 'Both ends are among them.');
}

/**
 * @returns [S, S, 3] each: the pictures that were given, as the run sees them, and the steps of each way
 * @throws UserError for a run without a tokenizer, pictures that cannot be read, ends that are missing
 */
export async function walk(
  names: readonly (keyof typeof ways)[],
  o: WalkOptions,
): Promise<{ ends: readonly Float32Array[]; walked: readonly (readonly Float32Array[])[] }> {
  const loaded = loadedOf(o);
  const { config } = loaded;
  const model = await loaded.tokenizer();
  const { size } = config.data;
  const { steps = usualSteps } = o;
  checkSteps(steps);
  checkEnds(o, config);
  const ends: Float32Array[] = [];
  for (const image of o.images)
    ends.push((await readEvalImage(image, size, config.data)).data as Float32Array);

  const { toPoint, fromPoint, shape } = walkPrograms(modelOf(config), model.tensors, 1);
  const encoder = await o.device.prepare(toPoint);
  const decoder = await o.device.prepare(fromPoint);
  try {
    const points: Float32Array[] = [];
    for (const image of ends) {
      const { point } = await encoder.run({ images: float32([1, size, size, 3], image) });
      points.push(Float32Array.from(point.data));
    }
    const [from, other] = points as [Float32Array, Float32Array?];
    const to = other ?? asOtherClass(from, o.classes ?? [], { config, model, width: sizeOf(shape) });
    const walked: Float32Array[][] = [];
    for (const name of names) {
      const pictures: Float32Array[] = [];
      for (let i = 0; i < steps; i++) {
        o.signal?.throwIfAborted();
        const point = float32([1, ...shape], ways[name](from, to, i / (steps - 1)));
        pictures.push(imageAt((await decoder.run({ point })).images, 0));
      }
      walked.push(pictures);
    }
    return { ends, walked };
  } finally {
    await encoder.dispose();
    await decoder.dispose();
  }
}

function checkEnds({ images, classes = [] }: WalkOptions, config: Config): void {
  const next = 'For example: vqgen interpolate a.png b.png';
  if (classes.length === 0) {
    if (images.length !== 2) throw expected('two pictures', 'A B', images.length, next);
    return;
  }
  const { latent } = bottleneckOf(config);
  const known = latent.kind === 'gaussian' ? latent.classes : [];
  if (known.length === 0) {
    const kind = `${classes.join(', ')}, where the run's latent knows none`;
    throw expected('no class', '--class', kind, 'A CVAE knows classes (--config cvae).');
  }
  chosenClasses(classes, known);
  if (images.length !== 1 || classes.length !== 2) {
    throw expected(
      'one picture and two classes, its own and another',
      '--class',
      `${images.length} pictures and ${classes.length} classes`,
      'For example: vqgen interpolate cat.png --class cat --class fish',
    );
  }
}

/** z − μ_a + μ_b. */
function asOtherClass(
  z: Float32Array,
  names: readonly string[],
  o: { config: Config; model: TrainedModel; width: number },
): Float32Array {
  const { classes } = o.config.stage1.bottleneck;
  const means = classMeans(o.model, classes.length, o.width);
  const [own, other] = take(means, chosenClasses(names, classes)) as [Float32Array, Float32Array];
  return z.map((value, i) => value - own[i]! + other[i]!);
}

const ways = { straight, arc } as const;
