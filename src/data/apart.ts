/** How far two picture files are apart. */
import { extentOf, type Picture } from './pictures.js';
import { readings } from './reading.js';

/** All pixels of a picture file, at its own size. @throws as `decode` */
export async function wholePicture(file: Buffer): Promise<Picture> {
  return readings.photographs.covering(file, await extentOf(file));
}

export interface Apart {
  /** Pixels that are not the same, of so many. */
  readonly differing: number;
  readonly pixels: number;
  /** The most that a value of 0 … 255 differs by. */
  readonly most: number;
}

/** Undefined of pictures of two sizes. */
export function apart(a: Picture, b: Picture): Apart | undefined {
  if (a.width !== b.width || a.height !== b.height) return undefined;
  let [differing, most] = [0, 0];
  for (let at = 0; at < a.data.length; at += 3) {
    let far = 0;
    for (let i = at; i < at + 3; i++) far = Math.max(far, Math.abs(a.data[i]! - b.data[i]!));
    if (far > 0) differing++;
    most = Math.max(most, far);
  }
  return { differing, pixels: a.data.length / 3, most };
}
