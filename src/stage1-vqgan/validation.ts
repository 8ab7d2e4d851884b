/**
 * How well held-out images are reconstructed: the averaged weights where there are any, on a fixed choice of images.
 */
import type { UserError } from '../base/errors.js';
import { nth, only } from '../base/lookup.js';
import type { HostTensor } from '../base/tensor.js';
import type { Stage1Config } from '../config/schema.js';
import { evalImages } from '../data/batches.js';
import type { ImageSet } from '../data/dataset.js';
import { imageAt, writeVersions } from '../data/grid.js';
import { colourShifts, ninetieth } from '../data/mean-colour.js';
import { patternOf, Spectrum } from '../data/pattern.js';
import { toBytes } from '../data/pictures.js';
import { psnrOfEach } from '../data/psnr.js';
import type { Device, Graph } from '../engine/device.js';
import { under } from '../nn/params.js';
import type { Perceptual } from '../perceptual/distances.js';
import { damagedInput } from '../train/guard.js';
import type { Stage } from '../train/loop.js';
import type { Measured } from '../train/metrics.js';
import { judgingOf } from './adversary/index.js';
import type { Bottleneck } from './latent.js';
import type { ReconstructionSettings } from './losses.js';
import type { Networks } from './model.js';
import { evaluateProgram } from './programs.js';
import { firstActingStep, type Starts } from './starts.js';

const mostImages = 256;
const mostPixelsInBatch = 32 * 64 * 64;
const gridColumns = 8;

type BatchSettings = Pick<Stage1Config, 'batch_size' | 'accumulate'>;

/**
 * Number of images in a batch, and of images in all: whole batches, spread over the set. A batch is no larger than
 * what training computes at a time; the images are the same.
 */
export function validationPlan(
  count: number,
  size: number,
  { batch_size, accumulate }: BatchSettings,
): { batch: number; images: number } {
  const fitting = Math.max(1, Math.min(32, Math.floor(mostPixelsInBatch / size ** 2)));
  const whole = Math.min(count, fitting);
  const images = whole * Math.max(1, Math.floor(Math.min(count, mostImages) / whole));
  let batch = Math.min(whole, batch_size / accumulate);
  while (whole % batch > 0) batch--;
  return { batch, images };
}

/** The evaluation programs without and with the discriminator, each prepared when it is first needed. */
export interface EvaluationGraphs {
  get(adversarial: boolean): Promise<Graph<'images', 'reconstruction'>>;
  dispose(): Promise<void>;
}

export function evaluationGraphs(
  { model, adversary }: Networks,
  perceptual: Perceptual | undefined,
  settings: ReconstructionSettings,
  device: Device,
  batch: number,
): EvaluationGraphs {
  const prepared = new Map<boolean, Promise<Graph<'images', 'reconstruction'>>>();
  return {
    get(adversarial) {
      const networks = adversarial ? { model, adversary } : { model };
      const program = () => evaluateProgram(networks, perceptual, settings, batch);
      const graph = prepared.get(adversarial) ?? device.prepare(program());
      prepared.set(adversarial, graph);
      return graph;
    },
    async dispose() {
      for (const graph of await Promise.allSettled(prepared.values())) {
        if (graph.status === 'fulfilled') await graph.value.dispose();
      }
    },
  };
}

/**
 * Means over the validation images of the evaluation program's scalars and of `psnr`, the reconstructions' pattern and
 * shift of colours; writes originals above reconstructions to `gridFile(step)`.
 *
 * @param graphs of `evaluateProgram` at the plan's batch size
 */
export function validation(
  { model, adversary }: Networks,
  settings: BatchSettings & Pick<Stage1Config, 'ema'>,
  set: ImageSet,
  graphs: EvaluationGraphs,
  gridFile: (step: number) => string,
): Stage['evaluate'] {
  const { size, bottleneck, net } = model;
  const { batch, images } = validationPlan(set.count, size, settings);
  const indices = Array.from({ length: images }, (_, i) => Math.floor((i * set.count) / images));
  return async (step, state, signal, starts): Promise<Measured> => {
    const acts = adversary && step >= firstActingStep(starts as Starts, adversary);
    const acting = acts ? adversary : undefined;
    const graph = await graphs.get(acting !== undefined);
    const weights = {
      ...under(settings.ema > 0 ? 'ema' : 'model', state),
      ...(acting && judgingOf(acting, state)),
    };
    const sums: Record<string, number[]> = {};
    const shown: { original: Float32Array; second: Float32Array }[] = [];
    const columns = Math.min(gridColumns, images);
    const spectra = { real: new Spectrum(size), made: new Spectrum(size) };
    const shifts: number[] = [];
    for (let at = 0; at < images && !signal?.aborted; at += batch) {
      const chosen = indices.slice(at, at + batch);
      const originals = await evalImages(set, chosen, size);
      const labels = Int32Array.from(chosen, (index) => nth(set.labels, index));
      const { batched } = bottleneck.feed('eval', at, labels);
      const { reconstruction, ...means } = await graph.run({ images: originals, ...batched, ...weights });
      const values = Object.entries(means).map(([name, t]) => [name, Array.from(t.data)] as const);
      if (!areNumbers(originals)) throw await strangePicture(set, chosen, size);
      if (!areNumbers(reconstruction)) return { psnr: Number.NaN };
      const decibels = [mean(psnrOfEach(originals, reconstruction))];
      for (const [name, list] of [...values, ['psnr', decibels] as const]) {
        sums[name] = list.map((value, i) => (sums[name]?.[i] ?? 0) + value * batch);
      }
      const bytes = { real: toBytes(originals), made: toBytes(reconstruction) };
      spectra.real.add(bytes.real);
      spectra.made.add(bytes.made);
      shifts.push(...colourShifts(bytes.real, bytes.made, size));
      for (let i = 0; i < batch; i++) {
        // The shown images are spread over the set too.
        if (at + i !== Math.floor((shown.length * images) / columns) || shown.length === columns) continue;
        shown.push({ original: imageAt(originals, i), second: imageAt(reconstruction, i) });
      }
    }
    if (!signal?.aborted) {
      const versions = [shown.map((pair) => pair.original), shown.map((pair) => pair.second)];
      await writeVersions(gridFile(step), versions, { size });
    }
    return {
      ...measuresOf(bottleneck, sums, images),
      ...(!net.planes.labels && {
        ...patternOf(spectra.real, spectra.made),
        colour_shift: ninetieth(shifts),
      }),
    };
  };
}

const areNumbers = ({ data }: HostTensor): boolean => !data.some((value: number) => !Number.isFinite(value));

/** The first of some pictures that is none. */
async function strangePicture(set: ImageSet, indices: readonly number[], size: number): Promise<UserError> {
  const finite = await Promise.all(indices.map(async (i) => areNumbers(await evalImages(set, [i], size))));
  const name = set.names[indices[finite.indexOf(false)] ?? -1] ?? '';
  return damagedInput(`the picture ${name}`, Number.NaN);
}

/** Means of what the program gives, of units as lists, and what the bottleneck makes of them. */
function measuresOf(bottleneck: Bottleneck, sums: Record<string, number[]>, images: number): Measured {
  const { units, measures } = bottleneck;
  const means = Object.entries(sums).map(([name, list]) => [name, list.map((sum) => sum / images)] as const);
  const { sampled_mse, ...scalars } = Object.fromEntries(
    means.filter(([name]) => !units?.includes(name)).map(([name, list]) => [name, only(list)]),
  );
  const further = sampled_mse === undefined ? {} : measures?.({ ...scalars, sampled_mse });
  return { ...scalars, ...further, ...Object.fromEntries(means.filter(([name]) => units?.includes(name))) };
}

const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
