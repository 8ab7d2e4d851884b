/** Pictures or maps of the user's from which a prior is told what to draw. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { sha256 } from '../checkpoint/safetensors.js';
import type { Config } from '../config/schema.js';
import { checkColours, coloursOf } from '../data/map-labels.js';
import { stemOf } from '../data/maps.js';
import type { Extent } from '../data/pictures.js';
import { type PictureKind, readCovering, readEvalImage } from '../data/reading.js';
import { listImages } from '../data/source.js';
import type { Prior } from '../stage2-transformer/prior.js';
import { untoldCodes } from '../stage2-transformer/told.js';
import type { Conditioner, ConditionRecord } from '../tokenize/conditions/condition.js';

/** A file that tells something; it is read when it is looked at, and once for all draws of it. */
export interface Told {
  /** That of the file, in a folder from there on, without its ending where no other has the same. */
  readonly name: string;
  /** Of its bytes, sha256. */
  readonly digest: string;
  read(): Promise<Telling>;
  /** [G] of all of it, or of the square [S, S] of a larger one from so many pixels to the right and down. */
  codes(left?: number, top?: number): Promise<Int32Array>;
}

/** The one file of these bytes, which is to be told as the file of this number. */
export interface ToldAs {
  readonly sha256: string;
  readonly number: number;
}

/** A picture is [S, S, 3], or as large as what is to be drawn. */
export interface Telling {
  /** Where it is not a map. */
  readonly photograph?: Float32Array;
  /** What of it is told. */
  shown(): Promise<Float32Array>;
  codes: Told['codes'];
}

/**
 * What the files of `--condition` tell, one after another, or that of `toldAs` alone; none where it is not given, which
 * a prior can do without that was trained without, at times. Each file is read once, so that a mistake is told before
 * the work.
 *
 * @param o.conditioner where the prior is told anything
 * @param o.extent of pictures that are larger than the prior was trained on, or smaller
 * @throws UserError for what is no picture, a map of other colours, a prior that is told nothing, or that must be, and
 *   where the file of `toldAs` is none of them
 */
export async function toldBy(
  { condition, toldAs }: { condition?: string; toldAs?: ToldAs },
  { config, conditioner, extent }: { config: Config; conditioner?: Conditioner; extent?: Extent },
): Promise<readonly Told[] | undefined> {
  if (condition === undefined) {
    if (conditioner && config.prior.class_dropout === 0) {
      const next = 'The prior never learned to draw without: prior.class_dropout was 0.';
      throw expected(wantedOf(conditioner.record), '--condition', 'nothing', next);
    }
    return undefined;
  }
  if (!conditioner) {
    throw expected(
      'nothing',
      '--condition',
      `${condition}, where the prior was told nothing of pictures beside their classes`,
      'Another would be: vqgen tokenize --set prior.condition.kind=edges, then vqgen train-prior.',
    );
  }
  const found: Told[] = [];
  const lastRead = lastOf((file) => tell(file, conditioner, extent));
  for (const { file, name } of await filesOf(condition)) {
    const read = () => lastRead(file);
    await read();
    const digest = await sha256(file);
    if (toldAs && (found.length > 0 || digest !== toldAs.sha256)) continue;
    const codes = remembered(async (left, top) => (await read()).codes(left, top));
    found.push({ name, digest, read, codes });
  }
  if (toldAs && found.length === 0) {
    const wanted = `the file that the picture was told of (SHA-256 ${toldAs.sha256.slice(0, 8)}…)`;
    const received = `${condition}, which ${isFolder(condition) ? 'does not hold it' : 'is another'}`;
    throw expected(wanted, '--condition', received);
  }
  return found;
}

/** Draws of a file follow each other: of pictures no more than one is kept. */
function lastOf(read: (file: string) => Promise<Telling>): (file: string) => Promise<Telling> {
  let last: { file: string; telling: Promise<Telling> } | undefined;
  return (file) => {
    if (last?.file !== file) last = { file, telling: read(file) };
    return last.telling;
  };
}

/** Codes are few: all are kept. */
function remembered(codes: (left: number, top: number) => Promise<Int32Array>): Told['codes'] {
  const known = new Map<string, Promise<Int32Array>>();
  return (left = 0, top = 0) => {
    const place = `${left} ${top}`;
    const found = known.get(place) ?? codes(left, top);
    known.set(place, found);
    return found;
  };
}

const wantedOf = ({ kind }: ConditionRecord): string =>
  kind === 'maps' ? 'a map' : `a picture, of which it is told the ${kind},`;

const isFolder = (place: string): boolean =>
  fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** A file, or those of a folder. */
async function filesOf(condition: string): Promise<{ file: string; name: string }[]> {
  if (!isFolder(condition)) return [{ file: condition, name: path.parse(condition).name }];
  const { names } = await listImages(condition, '--condition', { onDisk: true });
  const stems = names.map(stemOf);
  return names.map((name, i) => {
    const stem = must(stems[i], name);
    const isOne = stems.indexOf(stem) === stems.lastIndexOf(stem);
    return { file: path.join(condition, name), name: isOne ? stem : name };
  });
}

/** Tells all of it apart, with the name of the first. */
export function digestOf(told: readonly Told[]): { first: string; digest: string } {
  const hash = createHash('sha256');
  for (const { name, digest } of told) hash.update(`${name} ${digest};`);
  return { first: must(told[0], 'file').name, digest: hash.digest('hex').slice(0, 8) };
}

async function tell(file: string, conditioner: Conditioner, extent?: Extent): Promise<Telling> {
  const { kind, size, labels, tokenizer } = conditioner.record;
  const whole = extent ?? { width: size, height: size };
  const map = kind === 'maps';
  const pictures = map ? (tokenizer?.pictures ?? 'labels') : 'photographs';
  const image = await (extent ? readCovering(file, extent, pictures) : trained(file, size, pictures));
  if (map && labels) checkColours(coloursOf(image, file), labels);
  const codes = (left = 0, top = 0) => conditioner.codes([square(image, whole, { left, top, size })]);
  return { ...(!map && { photograph: image }), shown: () => shownOf(conditioner, codes, whole), codes };
}

async function trained(file: string, size: number, pictures: PictureKind): Promise<Float32Array> {
  return (await readEvalImage(file, size, { pictures, labels: [] })).data as Float32Array;
}

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
async function shownOf(
  { record, shown }: Conditioner,
  codes: Telling['codes'],
  { width, height }: Extent,
): Promise<Float32Array> {
  const { size } = record;
  const whole = new Float32Array(width * height * 3);
  for (let top = 0; top < height; top += size)
    for (let left = 0; left < width; left += size) {
      const part = await shown(await codes(left, top));
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
