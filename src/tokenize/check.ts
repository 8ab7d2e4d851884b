/** `vqgen tokenize --check`: a few pictures decoded from what was written of them. */
import path from 'node:path';
import { must } from '../base/lookup.js';
import type { HostTensors } from '../base/tensor.js';
import { runPaths } from '../checkpoint/run.js';
import { imageAt, writeVersions } from '../data/grid.js';
import type { Tokenizer } from './tokenizer.js';

/** How many of a split are shown. */
export const checked = 8;

/** An image [S, S, 3] and its codes, [1, h, w] of each grid. */
export interface Coded {
  readonly image: Float32Array;
  readonly codes: HostTensors;
}

export const checkFile = (run: string, split: string): string =>
  path.join(runPaths(run).tokens, `${split}-check.png`);

/** Originals above what their codes decode to. */
export async function writeCheck(
  file: string,
  coded: readonly Coded[],
  { config, decoder }: Tokenizer,
): Promise<void> {
  const graph = await decoder(1);
  try {
    const decoded: Float32Array[] = [];
    for (const { codes } of coded) decoded.push(imageAt(must((await graph.run(codes)).images, 'images'), 0));
    await writeVersions(file, [coded.map(({ image }) => image), decoded], { size: config.data.size });
  } finally {
    await graph.dispose();
  }
}
