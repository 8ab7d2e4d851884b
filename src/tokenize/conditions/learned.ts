/**
 * What a tokenizer makes of maps, or of pictures with fewer pixels (Esser et al., arXiv 2012.09841, section 4.1): its
 * codes are what is told.
 */
import { expected } from '../../base/errors.js';
import { must, nth, only } from '../../base/lookup.js';
import { float32, int32 } from '../../base/tensor.js';
import { imageAt } from '../../data/grid.js';
import { padBatch } from '../../data/inference-batch.js';
import type { MapLabel } from '../../data/map-labels.js';
import type { Device, Graph } from '../../engine/device.js';
import { gridsOf, modelOf } from '../../stage1-vqgan/model.js';
import { decodePartProgram } from '../../stage1-vqgan/parts.js';
import { encodeProgram } from '../../stage1-vqgan/programs.js';
import { type Conditioner, type ConditionRecord, conditionGrid, shownCells } from './condition.js';
import { tokenizerKey as key, type ToldTokenizer } from './tokenizer.js';

interface Given extends Pick<ConditionRecord, 'kind' | 'size'> {
  /** Side of what the tokenizer takes. */
  readonly pixels: number;
  /** Of a copy in the run. */
  readonly sha256?: string;
  /** Of training maps, where they are maps of labels. */
  readonly labels: readonly MapLabel[];
}

/** @throws UserError for one of several grids, of maps of another size, or of more pixels than make a code */
export function learnedRecord(
  { kind, size, pixels, sha256, labels }: Given,
  { config, place }: Pick<ToldTokenizer, 'config' | 'place'>,
): ConditionRecord {
  const grids = gridsOf(config);
  if (grids.length !== 1)
    throw expected('a tokenizer of one grid of codes', key, `${place}, of ${grids.length}`);
  const { height, vocab } = only(grids);
  if (kind === 'maps' && config.data.size !== size)
    throw expected(
      `a tokenizer of ${size}×${size} pixels`,
      key,
      `${place}, of ${config.data.size}×${config.data.size}`,
    );
  const cell = config.data.size / height;
  const side = pixels / cell;
  if (!Number.isInteger(side) || side < 1) {
    const next = `A code is ${cell} pixels wide.`;
    throw expected(`a multiple of ${cell} that divides ${size}`, 'prior.condition.side', pixels, next);
  }
  const { pictures } = config.data;
  return {
    ...{ kind, size, grid: conditionGrid(side, side, vocab) },
    ...(pictures === 'labels' && { labels }),
    tokenizer: { ...(sha256 !== undefined && { sha256 }), pictures, pixels },
  };
}

/** @param o.batch pictures that the tokenizer takes at a time */
export async function openLearned(
  record: ConditionRecord,
  { config, model: { tensors } }: ToldTokenizer,
  { device, batch }: { device: Device; batch: number },
): Promise<Conditioner> {
  const { size, grid } = record;
  const { pixels } = must(record.tokenizer, 'tokenizer');
  const { name, vocab } = only(gridsOf(config));
  const encoder = await device.prepare(encodeProgram({ ...modelOf(config), size: pixels }, tensors, batch));
  const part = { rows: grid.height, columns: grid.width };
  let decoder: Promise<Graph<never, 'images'>> | undefined; // Most never show what is told.
  const area = grid.height * grid.width;
  return {
    record,
    async codes(images) {
      const codes = new Int32Array(images.length * area);
      for (let at = 0; at < images.length; at += batch) {
        const part = images.slice(at, at + batch);
        const taken = float32([part.length, pixels, pixels, 3]);
        // As published: each pixel one of the picture's, and of maps, whose colours are not to be mixed.
        for (const [i, image] of part.entries())
          taken.data.set(pixels === size ? image : resized(image, size, pixels), i * 3 * pixels ** 2);
        const { data } = must((await encoder.run({ images: padBatch(taken, batch) }))[name], name);
        codes.set(data.subarray(0, part.length * area) as Int32Array, at * area);
      }
      return codes;
    },
    async shown(codes) {
      decoder ??= device.prepare(decodePartProgram(config, tensors, part));
      const known = codes.map((code) => Math.min(code, vocab - 1));
      const { images } = await (await decoder).run({ [name]: int32([1, grid.height, grid.width], known) });
      return resized(imageAt(images, 0), pixels, size);
    },
    async dispose() {
      await encoder.dispose();
      await (await decoder?.catch(() => undefined))?.dispose();
    },
  };
}

/** [S, S, 3] → [side, side, 3], each pixel one of the old ones. */
const resized = (image: Float32Array, size: number, side: number): Float32Array =>
  shownCells({ size: side, grid: { name: 'pixels', height: size, width: size, vocab: 0 } }, (at) => [
    nth(image, 3 * at),
    nth(image, 3 * at + 1),
    nth(image, 3 * at + 2),
  ]);
