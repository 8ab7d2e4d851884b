/**
 * The built-in data set: small pictures of ten things, drawn from a seed. A picture depends on the seed and its
 * index alone; its class is the index modulo ten.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import { obstacleIn } from '../base/obstacles.js';
import { type Reporter, silent } from '../base/progress.js';
import { stream } from '../base/rng.js';
import { decodeWidth } from './cache.js';
import { mapInOrder } from './map-in-order.js';
import { motifs } from './motifs.js';
import { encodePng, type Picture, render } from './pictures.js';
import { classesOf, type ImageSource } from './source.js';
import { between, rect } from './svg.js';

export const drawnClasses: readonly string[] = Object.keys(motifs).sort();

/** The picture as SVG text of `size` pixels. */
export function drawnSvg(seed: number, index: number, size: number): string {
  const { scene, figure } = posed(seed, index);
  return svgOf(size, scene + figure);
}

const svgOf = (size: number, shapes: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 100 100">${shapes}</svg>`;

/** Of what a label map shows, class by class; around it is black. */
const mapColours = [
  ...[0x1f77b4, 0xff7f0e, 0x2ca02c, 0xd62728, 0x9467bd],
  ...[0x8c564b, 0xe377c2, 0x7f7f7f, 0xbcbd22, 0x17becf],
];

/** The picture's label map: every pixel of what it shows has its class's colour. */
async function drawnMap(seed: number, index: number, size: number): Promise<Picture> {
  const white = posed(seed, index).figure.replace(/(fill|stroke)="(?!none)[^"]*"/g, '$1="#fff"');
  const { data, ...extent } = await render(svgOf(size, rect(0, 0, 100, 100, '#000') + white));
  const colour = must(mapColours[index % drawnClasses.length], 'colour');
  const bytes = [colour >> 16, (colour >> 8) % 256, colour % 256];
  return { ...extent, data: data.map((byte, i) => (byte > 127 ? bytes[i % 3]! : 0)) };
}

/** What stands behind, and what it shows in its pose. */
function posed(seed: number, index: number): { scene: string; figure: string } {
  const rng = stream(seed, 'drawing', index);
  const { scene, figure, tilt } = must(motifs[classOf(index)], 'motif')(rng);
  const number = (low: number, high: number): string => between(rng, low, high).toFixed(2);
  const scale = between(rng, 0.84, 1.04);
  const pose = [
    `translate(${number(44, 56)} ${number(46, 54)})`,
    `rotate(${(tilt * between(rng, -8, 8)).toFixed(2)})`,
    `scale(${((rng.uniform() < 0.5 ? -1 : 1) * scale).toFixed(3)} ${scale.toFixed(3)})`,
    'translate(-50 -50)',
  ].join(' ');
  return { scene, figure: `<g transform="${pose}">${figure}</g>` };
}

function classOf(index: number): string {
  return must(drawnClasses[index % drawnClasses.length], 'class');
}

/** `fish/000123.png`, for picture 123 of a data set. */
function nameOf(index: number): string {
  return `${classOf(index)}/${String(index).padStart(6, '0')}.png`;
}

/** The first `n` pictures of a seed, as the folder that `makeDataset` writes would list them. */
export function drawnImages(n: number, seed: number): ImageSource {
  const drawings = Array.from({ length: n }, (_, index) => ({ index, name: nameOf(index) }));
  drawings.sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = drawings.map(({ name }) => name);
  return {
    names,
    ...classesOf(names),
    origin: { where: 'data.dir', value: 'the built-in data set' },
    read: (i, size) => drawn(seed, must(drawings[i], `drawing ${i}`).index, size),
    async *stamps() {
      for (const { index, name } of drawings) yield `${name} ${drawnSvg(seed, index, 0)}`;
    },
  };
}

function drawn(seed: number, index: number, size: number): Promise<Picture> {
  return render(drawnSvg(seed, index, size));
}

/**
 * Writes the first `n` pictures as PNG files into class folders under `dir`, all or none. With `maps` these folders lie
 * in `dir/images`, and those of their label maps in `dir/maps`.
 *
 * @throws UserError when `dir` holds something already
 */
export async function makeDataset(
  dir: string,
  { n, size, seed, maps = false }: { n: number; size: number; seed: number; maps?: boolean },
  { reporter = silent, signal }: { reporter?: Reporter; signal?: AbortSignal } = {},
): Promise<void> {
  const present = await fs.readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw expected('a new folder', 'DIR', `${dir} (${error.code})`, 'Name another folder.', error);
  });
  if (present.length > 0) {
    throw expected('a new folder', 'DIR', `${dir}, which holds files`, 'Name another folder or empty it.');
  }
  const obstacle = obstacleIn(path.dirname(path.resolve(dir)));
  if (obstacle) throw expected('a new folder', 'DIR', `${dir}, ${obstacle}`, 'Name another folder.');
  const progress = reporter.progress({ label: 'Drawing', total: n, unit: 'images' });
  try {
    await writeFolderAtomic(
      path.resolve(dir),
      async (temporary) => {
        const kinds = maps ? { images: drawn, maps: drawnMap } : { '.': drawn };
        for (const folder of Object.keys(kinds))
          for (const name of drawnClasses.slice(0, n))
            await fs.mkdir(path.join(temporary, folder, name), { recursive: true });
        let done = 0;
        for await (const _ of mapInOrder(new Array(n).keys(), decodeWidth, async (index) => {
          for (const [folder, draw] of Object.entries(kinds)) {
            const png = await encodePng(await draw(seed, index, size));
            await fs.writeFile(path.join(temporary, folder, nameOf(index)), png);
          }
        })) {
          signal?.throwIfAborted();
          progress.update(++done);
        }
      },
      { fresh: true },
    );
  } finally {
    progress.stop();
  }
}
