/** What a page's worker does: the jobs of `messages.ts`, by vqgen's own code over the exported files. */
import { must, nth } from '../../../base/lookup.js';
import { stream } from '../../../base/rng.js';
import { float32, type HostTensors, int32, sizeOf } from '../../../base/tensor.js';
import type { Graph } from '../../../engine/device.js';
import { aroundMeans } from '../../../sample/around-means.js';
import { touchedCells } from '../../../sample/canvas-of.js';
import { codesIn } from '../../../sample/code-sheet.js';
import { copyOf, lay, sceneOf } from '../../../sample/scene.js';
import { byGrid, cellsIn, endToEnd } from '../../../stage1-vqgan/grids.js';
import { gridsIn } from '../../../stage1-vqgan/latent.js';
import { blankCanvas, type Canvas, unknown } from '../../../stage2-transformer/canvas.js';
import { fileDrawer } from '../../../stage2-transformer/file-drawer.js';
import { fromPlanes, toPlanes } from '../../onnx/planes.js';
import type { Description } from '../description.js';
import { loadRuntime, openGraph } from './graph.js';
import type { Compute, Jobs, Kind, Picture, Settings } from './messages.js';

export interface Doing {
  readonly signal: AbortSignal;
  readonly onProgress: (said: string, done: number, total: number) => void;
}

export type Studio = {
  readonly [K in Kind]: (ask: Jobs[K]['ask'], doing: Doing) => Promise<Jobs[K]['answer']>;
};

/** Pictures decoded at a time. */
const decodeBatch = 4;

/** @param base address of the folder, with a `/` at its end */
export function openStudio(base: string, compute: Compute, of: Description): Studio {
  const { size, latent, prior } = of;
  const grids = gridsIn(latent);
  const shape = latent.kind === 'codes' ? [] : latent.shape;
  const runtime = once(() => loadRuntime(`${base}runtime/`));
  const opened = new Map<string, Promise<Graph>>();

  const open = (name: string, { onProgress, signal }: Doing): Promise<Graph> => {
    const found = opened.get(name);
    if (found) return found;
    onProgress(`Loading the ${name}`, 0, 0);
    const opening = (async () => {
      const [ort, file] = await Promise.all([runtime(), fetched(`${base}${name}.onnx`)]);
      return openGraph(ort, file, { compute, kept: 'present' });
    })();
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return Promise.race([opening, abortOf(signal)]); // it goes on loading, and is there the next time
  };

  /** Codes [B, T] or numbers [B, …] as the decoder takes them. */
  const portsOf = (latents: Int32Array | Float32Array): HostTensors =>
    latents instanceof Int32Array
      ? byGrid(grids, latents)
      : { latent: float32([latents.length / sizeOf(shape), ...shape], latents) };

  const decoded = async (
    latents: readonly (Int32Array | Float32Array)[],
    doing: Doing,
  ): Promise<Float32Array[]> => {
    const decoder = await open('decoder', doing);
    const images: Float32Array[] = [];
    const area = size * size * 3;
    for (let first = 0; first < latents.length; first += decodeBatch) {
      doing.onProgress('Decoding', first, latents.length);
      doing.signal.throwIfAborted();
      const { images: planes } = await decoder.run(portsOf(flat(latents.slice(first, first + decodeBatch))));
      const { data } = fromPlanes(must(planes, 'images'));
      for (let at = 0; at < data.length; at += area) images.push((data as Float32Array).slice(at, at + area));
    }
    return images;
  };

  const encoded = async (image: Float32Array, doing: Doing): Promise<Float32Array | Int32Array> => {
    const encoder = await open('encoder', doing);
    const outputs = await encoder.run({ images: toPlanes(float32([1, size, size, 3], image)) });
    return grids.length > 0
      ? endToEnd(grids, outputs)
      : (must(outputs.latent, 'latent').data as Float32Array);
  };

  /** Codes [B, T]. */
  const drawn = async (
    known: Canvas,
    keys: readonly (readonly [string, number])[],
    { settings, seed }: { settings: Settings; seed: number },
    { signal, onProgress, ...doing }: Doing,
  ): Promise<Int32Array> => {
    const { asked, guidance, classes } = must(prior, 'prior');
    const graph = await open('prior', { signal, onProgress, ...doing });
    const { temperature, topK, topP, passes } = settings;
    const cfgScale = guidance && known.labels.some((label) => label !== unknown) ? settings.cfgScale : 1;
    const batch = known.labels.length;
    const steps = passes?.steps ?? cellsIn(grids);
    onProgress('Drawing', 0, steps);
    return fileDrawer(graph, asked, { batch, cfgScale, grids, classes: classes.length }).draw(known, {
      ...{ choice: { temperature, topK, topP }, growth: guidance?.growth, passes, signal },
      random: keys.map(([key, i]) => stream(seed, key, i)),
      onPlace: (place) => onProgress('Drawing', place + 1, steps),
    });
  };

  /** Of each class its mean, flat. */
  const means = async (doing: Doing): Promise<Float32Array[]> => {
    if (latent.kind !== 'gaussian' || latent.classes.length === 0) return [];
    const graph = await open('means', doing);
    const all = await graph.run({ labels: int32([latent.classes.length], [...latent.classes.keys()]) });
    return rowsOf(must(all.means, 'means').data as Float32Array, sizeOf(shape));
  };

  const points = async (
    seed: number,
    labels: readonly number[],
    temperature: number,
    doing: Doing,
  ): Promise<Float32Array[]> => {
    const draw = aroundMeans(await means(doing), sizeOf(shape));
    return labels.map((label, image) => draw({ seed, image, label, temperature }));
  };

  return {
    async draw({ seed, n, labels, settings }, doing) {
      const own = Array.from({ length: n }, (_, i) =>
        labels.length > 0 ? nth(labels, i % labels.length) : unknown,
      );
      const picture = (image: Float32Array, i: number): Picture => ({ image, label: nth(own, i) });
      if (!prior) {
        const latents = await points(seed, own, settings.temperature, doing);
        return (await decoded(latents, doing)).map(picture);
      }
      const keys = own.map((_, i) => ['sample', i] as const);
      const canvas = blankCanvas(cellsIn(grids), Int32Array.from(own));
      const codes = rowsOf(await drawn(canvas, keys, { settings, seed }, doing), cellsIn(grids));
      return (await decoded(codes, doing)).map((image, i) => ({
        ...picture(image, i),
        codes: nth(codes, i),
      }));
    },
    async paint({ picture, pixels, label, seed, n, settings }, doing) {
      const { image } = picture;
      const redrawn = grids.map((grid) => touchedCells(pixels, grid, 0));
      const added = { top: 0, left: 0, right: 0, bottom: 0 };
      const codes = picture.codes ?? ((await encoded(image, doing)) as Int32Array);
      const scene = sceneOf({ image, size, pixels, redrawn, added }, codes, grids);
      const window = nth(scene.windows, 0);
      const known = codesIn(scene, window);
      const canvas = {
        codes: flat(new Array<Int32Array>(n).fill(known)),
        labels: new Int32Array(n).fill(label),
      };
      const keys = Array.from({ length: n }, (_, i) => ['edit', i] as const);
      const rows = rowsOf(await drawn(canvas, keys, { settings, seed }, doing), known.length);
      return (await decoded(rows, doing)).map((drawnImage, i) => {
        const proposal = copyOf(scene);
        lay(proposal, window, nth(rows, i), drawnImage);
        return { image: proposal.picture, codes: nth(rows, i), label };
      });
    },
    async point({ seed, label, temperature }, doing) {
      return nth(await points(seed, [label], temperature, doing), 0);
    },
    encode: ({ image }, doing) => encoded(image, doing),
    async decode({ latent }, doing) {
      return nth(await decoded([latent], doing), 0);
    },
  };
}

async function fetched(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

const abortOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

type Numbers = Int32Array | Float32Array;

function flat<A extends Numbers>(rows: readonly A[]): A {
  const { length } = nth(rows, 0);
  const Kind = nth(rows, 0).constructor as new (length: number) => A;
  const all = new Kind(rows.length * length);
  for (const [i, row] of rows.entries()) all.set(row, i * length);
  return all;
}

function rowsOf<A extends Numbers>(all: A, width: number): A[] {
  return Array.from({ length: all.length / width }, (_, i) => all.slice(i * width, (i + 1) * width) as A);
}
