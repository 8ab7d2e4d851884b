/**
 * `vqgen interpolate`: from one picture to another, or to what it would be as another class, on a straight line and on
 * an arc through the latent space. Of models with codes the way goes through z, before it becomes codes.
 */

import path from 'node:path';
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { float32, sizeOf } from '../base/tensor.js';
import { readRunConfig, runPaths } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { imageAt, mostColumns, writeGrid } from '../data/grid.js';
import { readEvalImage } from '../data/reading.js';
import type { Device } from '../engine/device.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { walkPrograms } from '../stage1-vqgan/programs.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { chosenClasses } from './classes.js';
import { classMeans } from './numbers-source.js';
import { checkOutOrRun } from './out.js';
import { arc, straight } from './ways.js';

export interface InterpolateOptions {
  readonly run: string;
  /** Two pictures, or one where `classes` are given. */
  readonly images: readonly string[];
  /** From this class to that one: names of a model that knows classes. */
  readonly classes?: readonly string[];
  /** Pictures from one end to the other, both ends included. */
  readonly steps?: number;
  readonly out?: string;
  readonly device: Device;
  readonly reporter: Reporter;
}

export interface InterpolateSummary {
  readonly steps: number;
  readonly out: string;
}

const usualSteps = 9;

/** @throws UserError for a run without a tokenizer, pictures that cannot be read, ends that are missing */
export async function interpolate(o: InterpolateOptions): Promise<InterpolateSummary> {
  const config = readRunConfig(o.run);
  checkOutOrRun(o.out, { run: o.run, read: o.images });
  const model = await loadTokenizer(o.run, config, o);
  const { size } = config.data;
  const { steps = usualSteps } = o;
  const most = mostColumns(size);
  if (steps < 2 || steps > most) {
    throw expected(`a whole number from 2 to ${most}`, '--steps', steps, 'Both ends are among them.');
  }
  checkEnds(o, config);
  const pictures = await Promise.all(o.images.map((file) => readEvalImage(file, size, config.data)));

  const { toPoint, fromPoint, shape } = walkPrograms(modelOf(config), model.tensors, 1);
  const encoder = await o.device.prepare(toPoint);
  const decoder = await o.device.prepare(fromPoint);
  try {
    const points: Float32Array[] = [];
    for (const { data } of pictures) {
      const { point } = await encoder.run({ images: float32([1, size, size, 3], data as Float32Array) });
      points.push(Float32Array.from(point.data));
    }
    const [from, other] = points as [Float32Array, Float32Array?];
    const to = other ?? asOtherClass(from, o.classes ?? [], { config, model, width: sizeOf(shape) });
    const cells: (Float32Array | undefined)[] = [];
    for (const way of [straight, arc]) {
      for (let i = 0; i < steps; i++) {
        const point = float32([1, ...shape], way(from, to, i / (steps - 1)));
        cells.push(imageAt((await decoder.run({ point })).images, 0));
      }
    }
    const out = o.out ?? path.join(runPaths(o.run).samples, 'interpolation.png');
    const ends = Array.from({ length: steps }, (_, i) =>
      i === 0 ? pictures[0] : i === steps - 1 ? pictures[1] : undefined,
    );
    const captions = ['straight', 'arc'].flatMap((name) => [name, ...new Array<undefined>(steps - 1)]);
    await writeGrid(out, [...ends.map((image) => image?.data as Float32Array | undefined), ...cells], {
      size,
      columns: steps,
      captions: [...ends.map((image) => (image ? 'picture' : undefined)), ...captions],
    });
    return { steps, out };
  } finally {
    await encoder.dispose();
    await decoder.dispose();
  }
}

function checkEnds({ images, classes = [] }: InterpolateOptions, config: Config): void {
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
