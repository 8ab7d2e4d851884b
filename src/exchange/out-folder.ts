/** Where an export goes. */
import { existsSync, lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { settle } from '../base/files.js';
import { fileInTheWay, isSame, isWithin, obstacleIn } from '../base/obstacles.js';
import { exportFolder, partsOf } from '../checkpoint/run.js';

/** How an earlier export of the same format is known. */
export interface Known {
  /** Whether it writes a file of that name. */
  readonly isOurs: (name: string) => boolean;
  /** Whether vqgen wrote what such a folder holds: others have files of these names too. */
  readonly isExport: (folder: string) => boolean | Promise<boolean>;
}

/**
 * @param to where the export goes in the run's folder, which may be no link there; one that the user names may be
 * @throws UserError where anything but an earlier export would be replaced, or nothing can be written
 */
export async function checkOut(
  { run, out, to }: { run: string; out: string; to: string },
  { isOurs, isExport }: Known,
): Promise<void> {
  const file = fileInTheWay(out);
  if (file) throw expected('a folder', '--out', `${out}, where ${file} is a file`, 'Name another --out.');
  settle(out);
  const own = path.resolve(out) === path.resolve(exportFolder(run, to));
  if (own && isLink(out)) throw notAnExport(`${out}, which is a link to ${readlinkSync(out)}`, 'Remove it.');
  const obstacle = obstacleIn(path.dirname(existsSync(out) ? realpathSync(out) : path.resolve(out)));
  if (obstacle)
    throw expected('a folder that can be written to', '--out', `${out}, ${obstacle}`, 'Name another --out.');
  if (isSame(out, run)) {
    throw expected('another folder than --run', '--out', out, 'What an export leaves out would be lost.');
  }
  if (partsOf(run).some((part) => isWithin(out, part)))
    throw notAnExport(`${out}, which is a part of ${run}`);
  const names = existsSync(out) ? readdirSync(out) : [];
  const other = names.find((name) => !isOurs(name));
  if (other !== undefined) throw notAnExport(`${out}, which holds ${other}`);
  if (names.length > 0 && !(await isExport(out)))
    throw notAnExport(`${out}, whose files vqgen did not write`);
}

export const notAnExport = (received: string, next = 'Name another --out.'): UserError =>
  expected('a folder that is new or holds an export', '--out', received, next);

const isLink = (place: string): boolean =>
  lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;

/** Bytes of all files in it. */
export async function sizeOfFolder(folder: string): Promise<number> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (f) => (await fs.stat(path.join(f.parentPath, f.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
