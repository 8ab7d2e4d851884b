/**
 * What a run was trained with and does not hold: its pictures and its perceptual network, which may have been moved
 * since.
 */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { sha256 } from '../checkpoint/safetensors.js';
import type { Config, DataConfig } from '../config/schema.js';
import { type ImageSource, listImages } from '../data/source.js';
import { configKey, networkFile } from '../perceptual/load.js';
import { changedOption, type FolderKey, folderKeys, readPictures, without } from './same-pictures.js';

const optionOf: Record<FolderKey, string> = { dir: '--data ', val_dir: '--set data.val_dir=' };

const namesOf = ({ names }: ImageSource): string[] => names.filter((name) => !name.endsWith('/'));

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
 * @param o.changed whether a run may go on with other pictures
 * @throws UserError that names what differs
 */
export async function movedKeys(
  o: { run: string; saved: Config; config: Config; changed?: boolean },
  reporter: Reporter,
): Promise<string[]> {
  const { run, saved, config, changed } = o;
  const moved: string[] = [];
  for (const key of folderKeys) {
    const [before, now] = [saved.data[key], config.data[key]];
    if (before === null || now === null || before === now) continue;
    await comparePictures({ run, key, before, now, changed }, reporter);
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
  o: { run: string; key: FolderKey; before: string; now: string; changed?: boolean },
  reporter: Reporter,
): Promise<void> {
  const { run, key, before, now } = o;
  const given = namesOf(await listImages(now, `data.${key}`));
  const noted = readPictures(run);
  const known = noted[key] ?? (existsSync(before) ? namesOf(await listImages(before)) : undefined);
  if (!known) {
    reporter.warn(
      `${run} does not note its pictures and ${before} is gone: the ${given.length} of ${now} are taken without a comparison.`,
    );
    return;
  }
  const [missing, added] = [without(known, given), without(given, known)];
  if (missing.length + added.length === 0) {
    reporter.note(
      `The pictures are now those of ${now}: ${given.length}, with the names of those in ${before}.` +
        (noted.contents?.[key] ? '' : ' What they show is not compared.'),
    );
    return;
  }
  if (o.changed) return; // What has changed is said when they are read.
  const parts = [
    ...(missing.length > 0 ? [`without ${some(missing)}`] : []),
    ...(added.length > 0 ? [`with ${some(added)} besides`] : []),
  ];
  throw expected(
    `the ${known.length} pictures that ${run} was trained on, by their names,`,
    `data.${key}`,
    `${now}, which holds ${given.length}: ${parts.join(', ')}`,
    `A run goes on with the same pictures: train on others with another --run, or go on with these by ${changedOption}.`,
  );
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
