/** Names of files as bytes: outside of Windows and macOS a name need not be text. */
import { isUtf8 } from 'node:buffer';
import path from 'node:path';

/** A path: text where all of it is UTF-8, else its bytes. */
export type Place = string | Buffer;

export function placeIn(folder: Place, name: Buffer): Place {
  if (typeof folder === 'string' && isUtf8(name)) return path.join(folder, name.toString());
  const above = typeof folder === 'string' ? Buffer.from(folder) : folder;
  return Buffer.concat([above, Buffer.from(path.sep), name]);
}

/**
 * The name where it is UTF-8; of another every byte beyond ASCII, and the backslash, as `\xE9`: readable, and nothing
 * is lost.
 */
export function textOf(name: Buffer): string {
  if (isUtf8(name)) return name.toString();
  const escaped = (c: string) => `\\x${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return name.toString('latin1').replace(/[\\\x80-\xff]/g, escaped);
}

/** What stands for a path under which nothing is: Node hands on arguments that are not UTF-8 without their bytes. */
export function missing(place: string): string {
  const hint = place.includes('\uFFFD')
    ? ' by a name in UTF-8: name the folder above it, which is read whole, or rename it'
    : '';
  return `${place}, which does not exist${hint}`;
}
