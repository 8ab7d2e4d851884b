/** The pass over pictures that were not trained on: what the tokenizer makes of them. */
import { must, take } from '../base/lookup.js';
import { firstAxis, float32, type HostTensor } from '../base/tensor.js';
import { streamEvalImages } from '../data/batches.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { encodePng, toBytes } from '../data/pictures.js';
import { psnr } from '../data/psnr.js';
import { classOf, describeSkipped, type Skipped } from '../data/source.js';
import { rounded, spread } from '../evaluate/observe.js';
import { endToEnd } from '../stage1-vqgan/grids.js';
import { type Grid, gridsIn } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { reconstructProgram } from '../stage1-vqgan/programs.js';
import type { Opened } from './opened.js';
import { attempted, isMissing, type Part } from './part.js';

export interface Unseen {
  /** Pictures that were looked at, of so many; M. */
  readonly images: number;
  readonly of: number;
  readonly size: number;
  /** dB, mean over them. */
  readonly psnr: number;
  readonly shown: readonly Pair[];
  readonly grids: readonly Grid[];
  /** [M, T]; empty where latents are numbers. */
  readonly codes: Int32Array;
  /** [M, S, S, 3], 8-bit. */
  readonly pixels: Uint8Array;
  /** Those of the reconstructions. */
  readonly again: Uint8Array;
  readonly names: readonly string[];
  /** Of each picture the name of its class. */
  readonly classes: readonly string[];
}

/** A picture, as PNG, and what the tokenizer keeps of it. */
export interface Pair {
  readonly name: string;
  readonly original: Uint8Array;
  readonly reconstruction: Uint8Array;
  readonly psnr: number;
  /** Its place among the M pictures. */
  readonly at: number;
}

/** What is held and shown is limited by pixels: fewer pictures where they are larger. */
export const pictures = {
  looked: (size: number): number => Math.max(64, Math.min(1024, Math.floor((1024 * 64 ** 2) / size ** 2))),
  shown: (size: number): number => Math.max(4, Math.min(12, Math.floor((12 * 96 ** 2) / size ** 2))),
};

export async function unseenOf(o: Opened): Promise<Part<Unseen>> {
  const { tokenizer, unseen } = o;
  if (isMissing(tokenizer)) return tokenizer;
  if (isMissing(unseen)) return unseen;
  const { tensors } = tokenizer;
  return attempted('Unseen pictures are left out', async () => {
    const { config, device, reporter, signal } = o;
    const { size } = config.data;
    const of = unseen.indices.length;
    const indices = take(unseen.indices, spread(of, pictures.looked(size)));
    const batch = inferenceBatch(size);
    const grids = gridsIn(o.latent);
    const area = size * size * 3;
    const [pixels, again] = [new Uint8Array(indices.length * area), new Uint8Array(indices.length * area)];
    const [names, codes, decibels]: [string[], number[], number[]] = [[], [], []];
    const skipped: Skipped[] = [];
    const graph = await device.prepare(reconstructProgram(modelOf(config), tensors, batch));
    const total = indices.length;
    const progress = reporter.progress({ label: 'Reconstruct', total, unit: 'images' });
    try {
      const streamed = { size, batchSize: batch, skipped, signal };
      for await (const seen of streamEvalImages({ source: unseen.source, indices }, streamed)) {
        const n = firstAxis(seen.images);
        const { reconstruction, ...latent } = await graph.run({ images: padBatch(seen.images, batch) });
        const made = rounded(reconstruction);
        pixels.set(toBytes(seen.images), names.length * area);
        again.set(toBytes(made).subarray(0, n * area), names.length * area);
        for (let i = 0; i < n; i++) decibels.push(psnr(imageAt(seen.images, i), imageAt(made, i)));
        if (grids.length > 0) {
          const all = endToEnd(grids, latent);
          for (const code of all.subarray(0, (all.length / batch) * n)) codes.push(code);
        }
        names.push(...seen.names);
        progress.update(names.length + skipped.length);
      }
    } finally {
      progress.stop();
      await graph.dispose();
    }
    if (skipped.length > 0) reporter.warn(describeSkipped(skipped, total));
    const images = names.length;
    const classByName = new Map(
      indices.map((i) => [must(unseen.source.names[i], 'name'), classOf(unseen.source, i)]),
    );
    const result = {
      ...{ images, of, size, grids, names },
      psnr: decibels.reduce((sum, v) => sum + v, 0) / images,
      codes: Int32Array.from(codes),
      pixels: pixels.subarray(0, images * area),
      again: again.subarray(0, images * area),
      classes: names.map((name) => must(classByName.get(name), 'class')),
    };
    const shown: Pair[] = [];
    for (const at of spread(images, pictures.shown(size))) {
      shown.push({
        ...{ at, name: must(names[at], 'name'), psnr: must(decibels[at], 'psnr') },
        original: await pngAt(result.pixels, size, at),
        reconstruction: await pngAt(result.again, size, at),
      });
    }
    return { ...result, shown };
  });
}

/** Picture `i` of [n, S, S, 3] bytes. */
export const pngAt = (bytes: Uint8Array, size: number, i: number): Promise<Uint8Array> =>
  encodePng({
    width: size,
    height: size,
    data: bytes.slice(i * size * size * 3, (i + 1) * size * size * 3),
  });

/** Some pictures of [n, S, S, 3] bytes as the networks take them, [m, S, S, 3] in [−1, 1]. */
export function imagesAt(bytes: Uint8Array, size: number, places: readonly number[]): HostTensor {
  const area = size * size * 3;
  const images = new Float32Array(places.length * area);
  for (const [to, i] of places.entries())
    for (let k = 0; k < area; k++) images[to * area + k] = bytes[i * area + k]! / 127.5 - 1;
  return float32([places.length, size, size, 3], images);
}
