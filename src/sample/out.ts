/** `--out`, looked at before the work. */
import { statSync } from 'node:fs';
import { expected } from '../base/errors.js';

/** @throws UserError when the file to write is a folder */
export function checkOut(out: string | undefined): void {
  if (out !== undefined && statSync(out, { throwIfNoEntry: false })?.isDirectory()) {
    throw expected('a file', '--out', `${out}, which is a folder`, 'For example: --out grid.png');
  }
}
