/** `--out` and other files that a command is to write, looked at before the work. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { fileInTheWay, writeProtected } from '../base/files.js';
import { runPaths } from '../checkpoint/run.js';

/** @throws UserError when no file can be written there */
export function checkOut(out: string | undefined, option = '--out', example = 'grid.png'): void {
  if (out === undefined) return;
  const isFolder = existsSync(out) && statSync(out).isDirectory();
  const obstacle = isFolder ? 'which is a folder' : obstacleIn(path.dirname(out));
  if (!obstacle) return;
  throw expected('a file in a folder', option, `${out}, ${obstacle}`, `For example: ${option} ${example}`);
}

/** Why no picture can be written into the run's samples; undefined where one can. */
export const obstacleInSamples = (run: string): string | undefined => obstacleIn(runPaths(run).samples);

/** @throws UserError when `--out` is not given and the run, where pictures go then, takes none */
export function checkOutOrRun(out: string | undefined, run: string): void {
  checkOut(out);
  const obstacle = out === undefined ? obstacleInSamples(run) : undefined;
  if (!obstacle) return;
  throw expected(
    'a run that takes pictures',
    '--run',
    `${run}, ${obstacle}`,
    'For a picture elsewhere: --out grid.png',
  );
}

function obstacleIn(folder: string): string | undefined {
  const file = fileInTheWay(folder);
  if (file) return `where ${file} is a file`;
  const closed = writeProtected(folder);
  return closed && `where ${closed} cannot be written to`;
}
