/** Decoding a part of more codes than a picture of the trained size has. */
import type { HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { GraphProgram } from '../engine/device.js';
import { gridsIn } from './latent.js';
import { modelOf } from './model.js';
import { decodeProgram } from './programs.js';

/**
 * How many cells of the coarsest grid away a code still acts on a pixel; undefined where every code acts on all of them,
 * through normalisation over the whole picture, or attention. A convolution in each grid's resolution reaches a cell
 * of it, a doubling a cell of what it doubles, the filter behind them two pixels.
 */
export function sightOf(config: Config): number | undefined {
  const { network, num_res_blocks, ch_mult } = config.stage1;
  if (network !== 'strided') return undefined;
  const doublings = ch_mult.length - 1;
  let cells = 1 + num_res_blocks + 2 / 2 ** doublings;
  for (let i = 0; i < doublings; i++) cells += 1 / 2 ** i;
  const above = gridsIn(modelOf(config).bottleneck.latent).length - 1;
  for (let i = 0; i < above; i++) cells = cells / 2 + 1;
  return Math.ceil(cells);
}

/**
 * As `decodeProgram`, of one picture as many cells of the coarsest grid high and wide as is said: each grid's codes
 * [1, h, w] → `images` [1, H, W, 3].
 */
export function decodePartProgram(
  config: Config,
  weights: HostTensors,
  part: { readonly rows: number; readonly columns: number },
): GraphProgram<never, 'images'> {
  const model = modelOf(config);
  const grids = gridsIn(model.bottleneck.latent);
  const side = Math.min(...grids.map(({ height }) => height));
  const inputs = grids.map(({ name, height }) => {
    const finer = height / side;
    return [name, { shape: [1, part.rows * finer, part.columns * finer], dtype: 'int32' as const }] as const;
  });
  return { ...decodeProgram(model, weights, 1), inputs: Object.fromEntries(inputs) };
}
