/**
 * A tokenizer with fewer than 32 groups of channels, as one with 32. The published GroupNorm knows no other number;
 * but copies of all inner channels, side by side, have their groups side by side, and each copy computes what the one
 * did.
 */
import { must } from '../base/lookup.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import { specsOf } from '../nn/params.js';
import { modelSpecs } from '../stage1-vqgan/model.js';

export const PUBLISHED_GROUPS = 32;

/** How many copies make 32 groups; a whole number above 0, or nothing does. */
export const copiesOf = ({ stage1 }: Config): number => PUBLISHED_GROUPS / stage1.norm_groups;

/**
 * The same function with 32 groups and `copiesOf` times the channels, r² times the inner weights. Filters between two
 * inner layers are laid along a diagonal, so that each copy hears itself only; what leaves the copies is their mean.
 * Attention's products sum over r times as many channels and are divided by the root of as many: queries are divided
 * by √r.
 *
 * @param weights by the names that `modelSpecs` has
 */
export function widened(config: Config, weights: HostTensors): { config: Config; weights: HostTensors } {
  const copies = copiesOf(config);
  if (copies === 1) return { config, weights };
  const ch = config.stage1.ch * copies;
  const wide = { ...config, stage1: { ...config.stage1, ch, norm_groups: PUBLISHED_GROUPS } };
  const specs = specsOf(modelSpecs(wide));
  const tensors = Object.entries(weights).map(([name, tensor]): [string, HostTensor] => {
    const factor = name.includes('.query.') ? copies ** -0.5 : 1;
    return [name, copied(tensor, must(specs[name], name).shape, copies, factor)];
  });
  return { config: wide, weights: Object.fromEntries(tensors) };
}

/** [.., inputs, outputs] in a larger shape; axes that grow are those of inner channels. */
function copied(
  { shape, data }: HostTensor,
  wide: readonly number[],
  copies: number,
  factor: number,
): HostTensor {
  const [outputs = 1, inputs = 1] = shape.toReversed();
  const [wideOutputs = 1, wideInputs = 1] = wide.toReversed();
  const [fromInner, toInner] = [wideInputs > inputs, wideOutputs > outputs];
  const scale = fromInner && !toInner ? factor / copies : factor;
  const result = float32(wide);
  const rows = result.data.length / wideOutputs;
  for (let row = 0; row < rows; row++) {
    const copy = Math.floor((row % wideInputs) / inputs);
    const from = (Math.floor(row / wideInputs) * inputs + (row % inputs)) * outputs;
    for (let to = 0; to < wideOutputs; to++) {
      if (fromInner && toInner && Math.floor(to / outputs) !== copy) continue;
      result.data[row * wideOutputs + to] = scale * data[from + (to % outputs)]!;
    }
  }
  return result;
}
