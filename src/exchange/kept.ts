/**
 * What a published checkpoint had beside what vqgen uses, in a stage's folder, so that an export gives it back as it
 * was.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readChecked, writeWithSum } from '../checkpoint/content-sum.js';
import type { StoredTensors } from '../checkpoint/safetensors.js';
import { coversAll, type Named, type Place } from './places.js';
import type { TensorFile } from './torch-file.js';

export interface Kept<Published> {
  readonly published: Published;
  /** By their published names. */
  readonly tensors: StoredTensors;
}

/** What vqgen holds only in part, or not at all. */
export async function keptOf(
  places: readonly Place[],
  other: readonly Named[],
  { read }: TensorFile,
): Promise<StoredTensors> {
  const kept: StoredTensors = {};
  const partial = places.filter((place) => !coversAll(place)).flatMap(({ theirs }) => theirs);
  for (const { name } of [...partial, ...other]) kept[name] = await read(name);
  return kept;
}

const fileIn = (stageFolder: string): string => path.join(stageFolder, 'published.safetensors');

export async function writeKept<P>(stageFolder: string, { published, tensors }: Kept<P>): Promise<void> {
  await writeWithSum(fileIn(stageFolder), tensors, { published: JSON.stringify(published) });
}

/** Undefined where the stage was not imported. @throws UserError where it is not what `writeKept` wrote */
export async function readKept<P>(
  stageFolder: string,
  parse: (published: string, file: string) => P,
): Promise<Kept<P> | undefined> {
  const file = fileIn(stageFolder);
  if (!existsSync(file)) return undefined;
  const { tensors, metadata } = await readChecked(file);
  return { published: parse(metadata.published ?? '', file), tensors };
}
