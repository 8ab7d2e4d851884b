/** Pictures or maps of the user's from which a prior is told what to draw. */
import fs from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { HostTensor } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import { readMap, readMapCovering } from '../data/maps.js';
import { type Extent, readCovering, readEvalImage } from '../data/pictures.js';
import { listImages } from '../data/source.js';
import type { Prior } from '../stage2-transformer/prior.js';
import { untoldCodes } from '../stage2-transformer/told.js';
import type { Conditioner, ConditionRecord } from '../tokenize/conditions/condition.js';
import { conditionerFrom } from '../tokenize/conditions/index.js';
import { checkColours } from '../tokenize/told.js';

/** What a file tells; a picture is [S, S, 3], or as large as what is to be drawn. */
export interface Told {
  /** Without its ending. */
  readonly name: string;
  /** Where it is not a map. */
  readonly photograph?: Float32Array;
  /** What of it is told. */
  readonly shown: Float32Array;
  /** [G] of all of it, or of the square [S, S] of a larger one from so many pixels to the right and down. */
  codes(left?: number, top?: number): Int32Array;
}

/**
 * What the files of `--condition` tell, one after another; of none where it is not given, which a prior can do without
 * that was trained without, at times.
 *
 * @param o.extent of pictures that are larger than the prior was trained on, or smaller
 * @throws UserError for what is no picture, a map of other colours, a prior that is told nothing, or that must be
 */
export async function toldBy(
  condition: string | undefined,
  { config, record, extent }: { config: Config; record?: ConditionRecord; extent?: Extent },
): Promise<readonly Told[] | undefined> {
  if (condition === undefined) {
    if (record && config.prior.class_dropout === 0) {
      const next = 'The prior never learned to draw without: prior.class_dropout was 0.';
      throw expected(wantedOf(record), '--condition', 'nothing', next);
    }
    return undefined;
  }
  if (!record) {
    throw expected(
      'nothing',
      '--condition',
      `${condition}, where the prior was told nothing of pictures beside their classes`,
      'Another would be: vqgen tokenize --set prior.condition.kind=edges, then vqgen train-prior.',
    );
  }
  const conditioner = conditionerFrom(record);
  const found: Told[] = [];
  for (const file of await filesOf(condition)) found.push(await tell(file, conditioner, extent));
  return found;
}

const wantedOf = ({ kind }: ConditionRecord): string =>
  kind === 'maps' ? 'a map' : `a picture, of which it is told the ${kind},`;

/** A file, or those of a folder: names of files. */
async function filesOf(condition: string): Promise<string[]> {
  const stat = fs.statSync(condition, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return [condition];
  const { names } = await listImages(condition, '--condition');
  return names.map((name) => path.join(condition, name));
}

async function tell(file: string, conditioner: Conditioner, extent?: Extent): Promise<Told> {
  const { kind, size } = conditioner.record;
  const { width, height } = extent ?? { width: size, height: size };
  const { name } = path.parse(file);
  const map = kind === 'maps';
  const trained = () => (map ? readMap(file, size) : readEvalImage(file, size).then(valuesOf));
  const image = await (extent ? (map ? readMapCovering : readCovering)(file, extent) : trained());
  if (map) checkColours(image, conditioner, file);
  const codes = (left = 0, top = 0) =>
    conditioner.codes(square(image, { width, height }, { left, top, size }));
  return {
    name,
    ...(!map && { photograph: image }),
    shown: shownOf(conditioner, codes, { width, height }),
    codes,
  };
}

const valuesOf = ({ data }: HostTensor) => data as Float32Array;

/** [size, size, 3] of a picture; beyond its border it goes on as it is there. */
function square(
  image: Float32Array,
  { width, height }: Extent,
  { left, top, size }: { left: number; top: number; size: number },
): Float32Array {
  const part = new Float32Array(size * size * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const from = Math.min(height - 1, top + y) * width + Math.min(width - 1, left + x);
      part.set(image.subarray(3 * from, 3 * from + 3), 3 * (y * size + x));
    }
  return part;
}

/** What is told of a whole picture, square beside square. */
function shownOf(
  { record, shown }: Conditioner,
  codes: Told['codes'],
  { width, height }: Extent,
): Float32Array {
  const { size } = record;
  const whole = new Float32Array(width * height * 3);
  for (let top = 0; top < height; top += size)
    for (let left = 0; left < width; left += size) {
      const part = shown(codes(left, top));
      for (let y = top; y < Math.min(height, top + size); y++) {
        const from = 3 * (y - top) * size;
        whole.set(part.subarray(from, from + 3 * Math.min(size, width - left)), 3 * (y * width + left));
      }
    }
  return whole;
}

/** Codes [B · G] of rows that are told so; undefined where the prior is told nothing. */
export function toldRows(prior: Prior, rows: readonly (Int32Array | undefined)[]): Int32Array | undefined {
  const { grids } = prior.condition;
  if (grids.length === 0) return undefined;
  const nothing = untoldCodes(grids);
  return Int32Array.from(rows.flatMap((codes) => [...(codes ?? nothing)]));
}
