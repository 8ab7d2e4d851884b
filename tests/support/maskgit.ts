/** Very small MaskGITs. */
import type { HostTensors } from '../../src/base/tensor.js';
import { configSchema } from '../../src/config/schema.js';
import { initialise } from '../../src/nn/params.js';
import type { Grid } from '../../src/stage1-vqgan/latent.js';
import { maskgitPrior } from '../../src/stage2-transformer/maskgit/index.js';
import type { Prior } from '../../src/stage2-transformer/prior.js';

/** Without dropout unless given. */
export function maskgitOf(
  grids: readonly Grid[],
  o: { given?: readonly Grid[]; classes?: readonly string[] } & Partial<
    Parameters<typeof maskgitPrior>[0]
  > = {},
): Prior {
  const { given = [], classes = [], ...settings } = o;
  const sizes = { layers: 2, heads: 2, width: 8, dropout: 0, seed: 0 };
  const condition = { classes, grids: given };
  return maskgitPrior({ ...configSchema.parse({}).prior, ...sizes, ...settings }, grids, condition);
}

/** Starting values so large that what a cell is shown makes a difference. */
export function livelyMaskgit(specs: Prior['learned'], seed = 1): HostTensors {
  const lively = Object.entries(specs).map(([name, { shape, init }]) => {
    const spread = init.kind === 'ones' ? init : ({ kind: 'normal', mean: 0, std: 0.5 } as const);
    return [name, { shape, init: spread }] as const;
  });
  return initialise(Object.fromEntries(lively), seed);
}
