/**
 * Draws four pictures, goes on from the upper half of the first in two other ways, and walks from the first to the
 * second. From Node 22.18 on: node examples/draw.ts [RUN] [FOLDER]
 */
import path from 'node:path';
import { type DrawnImage, type Image, loadRun, writeImage } from 'vqgen';

const [place = 'fruits-64', folder = 'drawn'] = process.argv.slice(2);
const write = (name: string, images: readonly Image[]) =>
  Promise.all(images.map((image, i) => writeImage(path.join(folder, `${name}-${i}.png`), image)));

const run = await loadRun(place);
try {
  const pictures: DrawnImage[] = [];
  for await (const picture of run.sample({ n: 4, seed: 1 })) pictures.push(picture);
  await write('picture', pictures);

  const [first, second] = pictures as [DrawnImage, DrawnImage];
  const { images } = await run.complete(first, { keep: 'top', n: 2, seed: 2 });
  await write('otherwise', images);

  await write('between', await run.interpolate({ from: first, to: second, steps: 5 }));
} finally {
  await run.dispose();
}
