/** One picture of an edit: the original, what of it is kept, and the proposals. */
import type { Reporter } from '../base/progress.js';
import { captionsOf, mostColumns, mostPictures, writeGrid } from '../data/grid.js';
import { extentOf, type Scene } from './scene.js';

/** A pixel that is to be drawn. */
const grey = 0;

/**
 * @param scene before anything was drawn
 * @param drawn [H, W, 3] each
 * @param o.classes of each, or none. @param o.text as of `writeGrid`
 */
export async function writeProposals(
  file: string,
  scene: Scene,
  drawn: readonly Float32Array[],
  o: { classes: readonly string[]; text: string; reporter: Reporter },
): Promise<void> {
  const { width, height } = extentOf(scene);
  const size = Math.max(width, height);
  const shown = drawn.slice(0, Math.max(1, mostPictures(size) - 2));
  if (shown.length < drawn.length) {
    o.reporter.note(`The grid shows the first ${shown.length} of ${drawn.length} pictures.`);
  }
  const kept = scene.picture.map((value, i) => (scene.missing[Math.floor(i / 3)] ? grey : value));
  const names = captionsOf([...new Set(o.classes)], size);
  const captionOf = (i: number) =>
    o.classes.length > 0 ? names[[...new Set(o.classes)].indexOf(o.classes[i]!)] : `${i}`;
  await writeGrid(
    file,
    [scene.picture, kept, ...shown].map((picture) =>
      height > width ? squared(picture, { width, size }) : picture,
    ),
    {
      size,
      tall: height,
      columns: Math.min(mostColumns(size), shown.length + 2),
      text: o.text,
      captions: ['picture', 'kept', ...shown.map((_, i) => captionOf(i))],
    },
  );
}

/** A tall picture in the middle of a white square. */
function squared(picture: Float32Array, { width, size }: { width: number; size: number }): Float32Array {
  const square = new Float32Array(size * size * 3).fill(1);
  const left = (size - width) >> 1;
  for (let y = 0; y < size; y++) {
    square.set(picture.subarray(3 * y * width, 3 * (y + 1) * width), 3 * (y * size + left));
  }
  return square;
}
