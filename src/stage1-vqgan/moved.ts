/**
 * What a run was trained with and does not hold: its pictures and its perceptual network, which may have been moved
 * since.
 */
import { existsSync, readFileSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { runPaths } from '../checkpoint/run.js';
import { sha256 } from '../checkpoint/safetensors.js';
import type { Config, DataConfig } from '../config/schema.js';
import type { Splits } from '../data/dataset.js';
import { type ImageSource, listImages } from '../data/source.js';
import { configKey, networkFile } from '../perceptual/load.js';

const folderKeys = ['dir', 'val_dir'] as const;
type FolderKey = (typeof folderKeys)[number];

const optionOf: Record<FolderKey, string> = { dir: '--data ', val_dir: '--set data.val_dir=' };

/** Names of pictures below each folder of the config, `pictures.json` in the run. */
type Pictures = Partial<Record<FolderKey, readonly string[]>>;

const namesOf = ({ names }: ImageSource): string[] => names.filter((name) => !name.endsWith('/'));

/** Notes which pictures a run is trained on, so that they are known again elsewhere. */
export async function recordPictures(
  run: string,
  { dir }: DataConfig,
  { train, val }: Splits,
): Promise<void> {
  if (dir === null) return;
  const ofVal = val.source === train.source ? {} : { val_dir: namesOf(val.source) };
  const pictures: Pictures = { dir: namesOf(train.source), ...ofVal };
  await writeFileAtomic(runPaths(run).pictures, `${JSON.stringify(pictures)}\n`);
}

function readPictures(run: string): Pictures {
  const file = runPaths(run).pictures;
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw expected('the JSON that vqgen saved', file, 'something else', `Remove ${file}.`, cause);
  }
}

/** @throws UserError, with the way on, where a folder of the run's own pictures is no longer there */
export function checkPictures(run: string, data: Pick<DataConfig, FolderKey>): void {
  for (const key of folderKeys) {
    const folder = data[key];
    if (folder === null || existsSync(folder)) continue;
    throw expected(
      `the pictures that ${run} was trained on`,
      `data.${key}`,
      `${folder}, which does not exist`,
      `Where they are now is told by vqgen train-stage1 --resume ${optionOf[key]}FOLDER --run ${run}`,
    );
  }
}

/**
 * Which keys of a resumed run name another place of the same: pictures by their names and number, a network by its
 * bytes. Where neither a note nor the old place is left to compare with, a warning says so.
 *
 * @throws UserError that names what differs
 */
export async function movedKeys(
  o: { run: string; saved: Config; config: Config },
  reporter: Reporter,
): Promise<string[]> {
  const { run, saved, config } = o;
  const moved: string[] = [];
  for (const key of folderKeys) {
    const [before, now] = [saved.data[key], config.data[key]];
    if (before === null || now === null || before === now) continue;
    await comparePictures({ run, key, before, now }, reporter);
    moved.push(`data.${key}`);
  }
  const [before, now] = [saved.stage1.perceptual, config.stage1.perceptual];
  if (before.kind === now.kind && before.weights && now.weights && before.weights !== now.weights) {
    await compareNetworks(before.weights, now.weights, reporter);
    moved.push(configKey);
  }
  return moved;
}

/** The run's config with what `movedKeys` has found. */
export function withMoved(saved: Config, { data, stage1 }: Config): Config {
  const { dir, val_dir } = data;
  const perceptual = { ...saved.stage1.perceptual, weights: stage1.perceptual.weights };
  return { ...saved, data: { ...saved.data, dir, val_dir }, stage1: { ...saved.stage1, perceptual } };
}

async function comparePictures(
  { run, key, before, now }: { run: string; key: FolderKey; before: string; now: string },
  reporter: Reporter,
): Promise<void> {
  const given = namesOf(await listImages(now, `data.${key}`));
  const known =
    readPictures(run)[key] ?? (existsSync(before) ? namesOf(await listImages(before)) : undefined);
  if (!known) {
    reporter.warn(
      `${run} does not note its pictures and ${before} is gone: the ${given.length} of ${now} are taken without a comparison.`,
    );
    return;
  }
  const [missing, added] = [without(known, given), without(given, known)];
  if (missing.length + added.length === 0) {
    reporter.note(
      `The pictures are now those of ${now}: ${given.length}, with the names of those in ${before}. What they show is not compared.`,
    );
    return;
  }
  const parts = [
    ...(missing.length > 0 ? [`without ${some(missing)}`] : []),
    ...(added.length > 0 ? [`with ${some(added)} besides`] : []),
  ];
  throw expected(
    `the ${known.length} pictures that ${run} was trained on, by their names,`,
    `data.${key}`,
    `${now}, which holds ${given.length}: ${parts.join(', ')}`,
    'A run goes on with the same pictures only: train on others with another --run.',
  );
}

/** The two Unicode spellings of an accent are one name. */
function without(names: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others.map((name) => name.normalize('NFC')));
  return names.filter((name) => !known.has(name.normalize('NFC')));
}

function some([first, ...others]: readonly string[]): string {
  return others.length > 0 ? `${first} and ${others.length} more` : `${first}`;
}

async function compareNetworks(before: string, now: string, reporter: Reporter): Promise<void> {
  const [old, given] = [before, now].map(networkFile) as [string, string];
  if (!existsSync(given)) throw expected('a file of weights', configKey, `${now}, which does not exist`);
  if (!existsSync(old)) {
    reporter.warn(`${before} is gone: the perceptual network in ${now} is taken without a comparison.`);
    return;
  }
  if ((await sha256(old)) === (await sha256(given))) return;
  throw expected(
    `the perceptual network of ${before}`,
    configKey,
    `${now}, which holds another`,
    'A run goes on with the same network only.',
  );
}
