/** Where an export goes. */
import { existsSync, readdirSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { fileInTheWay } from '../base/files.js';

/**
 * @param isOurs whether an export writes a file of that name
 * @throws UserError where anything but an earlier export would be replaced
 */
export function checkOut(out: string, isOurs: (name: string) => boolean): void {
  const file = fileInTheWay(out);
  if (file) throw expected('a folder', '--out', `${out}, where ${file} is a file`, 'Name another --out.');
  const other = existsSync(out) ? readdirSync(out).find((name) => !isOurs(name)) : undefined;
  if (other === undefined) return;
  throw expected(
    'a folder that is new or holds an export',
    '--out',
    `${out}, which holds ${other}`,
    'Name another --out.',
  );
}
