/** The folder of a classifier while it is trained: nobody else writes there. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { holding, type LockOptions } from '../base/lock.js';
import { checkNoLinks, isSame, obstacleIn } from '../base/obstacles.js';
import { checkPlace } from '../checkpoint/begin.js';
import { trainedFile } from './load.js';

interface Options extends Pick<LockOptions, 'takeOver' | 'reporter'> {
  readonly data: readonly string[];
  readonly val: readonly string[];
  readonly out: string;
  readonly resume: boolean;
}

/**
 * Does the work while no other process trains there.
 *
 * @throws UserError, before the work, for a folder of its images, links in it, one that cannot be written to, and
 *   where another process is at it
 */
export async function occupying<T>(o: Options, work: () => Promise<T>): Promise<T> {
  const { out, takeOver, reporter } = o;
  checkPlace({ option: '--out', place: out });
  const input = [...o.data, ...o.val].find((folder) => isSame(out, folder));
  if (input !== undefined) throw expected('another folder than its images', '--out', out, 'Name a new one.');
  const obstacle = obstacleIn(out);
  if (obstacle)
    throw expected('a folder that can be written to', '--out', `${out}, ${obstacle}`, 'Name another.');
  if (o.resume && !existsSync(out)) return work(); // Whose error says what is near.
  checkNoLinks(out, ['settings.json', 'training', trainedFile, '.cache'], '--out');
  const how = { option: '--out', named: out, command: 'vqgen train-perceptual', takeOver, reporter };
  return holding({ ...how, place: path.join(out, 'training') }, work);
}
