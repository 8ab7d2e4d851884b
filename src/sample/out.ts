/** `--out` and other files that a command is to write, looked at before the work. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { fileInTheWay } from '../base/files.js';

/** @throws UserError when no file can be written there */
export function checkOut(out: string | undefined, option = '--out', example = 'grid.png'): void {
  if (out === undefined) return;
  const file = fileInTheWay(path.dirname(out));
  const isFolder = existsSync(out) && statSync(out).isDirectory();
  if (!file && !isFolder) return;
  const received = isFolder ? `${out}, which is a folder` : `${out}, where ${file} is a file`;
  throw expected('a file in a folder', option, received, `For example: ${option} ${example}`);
}
