/** Pictures by their names, of which each one's file can be read, wherever it lies: in a folder or in archives. */
import fs from 'node:fs/promises';
import { must } from '../base/lookup.js';
import { mapInOrder } from './map-in-order.js';
import { newPatience, steadily } from './passing.js';
import { withBytes } from './pictures.js';
import type { LeftOut, PictureFile, Walked } from './walk.js';

export interface PictureStore {
  /** Relative paths with forward slashes, sorted, each one once. */
  readonly names: readonly string[];
  /** The class of each, where it is not the first folder of its name. */
  readonly classNames?: readonly string[];
  /** What lies there and is no picture of these. */
  readonly left: LeftOut;
  /** What `use` makes of a picture's file. Rejects where that cannot be read, which is tried for a while. */
  read<T>(index: number, use: (file: Buffer) => Promise<T>): Promise<T>;
  /** Text that changes whenever a picture does. */
  stamps(): AsyncIterable<string>;
}

export function folderStore(walked: Walked): PictureStore {
  const { files } = walked;
  const patience = newPatience();
  return {
    names: files.map(({ name }) => name),
    left: walked,
    read(index, use) {
      const { place, lost } = must(files[index], `image ${index}`);
      return steadily(() => withBytes(place, use), { patience, isLost: lost });
    },
    stamps: () => mapInOrder(files, 16, stampOf),
  };
}

async function stampOf({ name, place }: PictureFile): Promise<string> {
  const stat = await fs.stat(place).catch(() => undefined);
  return stat ? `${name}\0${stat.size}\0${stat.ctimeMs}` : name;
}
