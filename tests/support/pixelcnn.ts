/** Very small PixelCNNs. */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../src/base/tensor.js';
import { configSchema } from '../../src/config/schema.js';
import type { Tensors } from '../../src/engine/device.js';
import { initialise } from '../../src/nn/params.js';
import type { Grid } from '../../src/stage1-vqgan/latent.js';
import { pixelcnnPrior } from '../../src/stage2-transformer/pixelcnn/index.js';
import type { NetworkSizes } from '../../src/stage2-transformer/pixelcnn/network.js';
import type { Prior } from '../../src/stage2-transformer/prior.js';

export const top: Grid = { name: 'top', height: 2, width: 3, vocab: 5 };
export const bottom: Grid = { name: 'bottom', height: 4, width: 5, vocab: 7 };

export const sizesOf = (grid: Grid, o: Partial<NetworkSizes> = {}): NetworkSizes => ({
  ...{ layers: 3, width: 6, heads: 2, attentionEvery: 0, classes: 0, earlier: [] },
  grid,
  ...o,
});

/** Without dropout unless given. */
export function pixelcnnOf(
  grids: readonly Grid[],
  o: { given?: readonly Grid[]; classes?: readonly string[] } & Partial<
    Parameters<typeof pixelcnnPrior>[0]
  > = {},
): Prior {
  const { given = [], classes = [], ...settings } = o;
  const sizes = { layers: 3, heads: 2, width: 6, dropout: 0, seed: 0 };
  return pixelcnnPrior({ ...configSchema.parse({}).prior, ...sizes, ...settings }, grids, {
    classes,
    grids: given,
  });
}

/** Starting values with logits that differ: none is as small as the last layer begins, no table of zeros. */
export function livelyWeights(specs: Prior['learned'], seed = 1): HostTensors {
  return initialise(
    Object.fromEntries(
      Object.entries(specs).map(([name, { shape, init }]) => [
        name,
        {
          shape,
          init: name.includes('head') || init.kind === 'zeros' ? { kind: 'normal', mean: 0, std: 0.5 } : init,
        },
      ]),
    ),
    seed,
  );
}

export const tensorsOf = (values: HostTensors): Tensors =>
  Object.fromEntries(
    Object.entries(values).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape], t.dtype)]),
  );
