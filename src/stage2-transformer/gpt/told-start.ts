/** Sequences that begin with the first code of what is told, in place of a token of their own. */
import * as tf from '@tensorflow/tfjs-core';
import { type HostTensor, int32, lastAxis } from '../../base/tensor.js';
import type { CachedModel } from '../drawer.js';

/** int32 [B, T] each, of which the first place is the start token's → [B, T − 1]. */
export const withoutFirst = (inputs: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => {
      const tokens = lastAxis({ shape });
      const kept = (data as Int32Array).filter((_, i) => i % tokens > 0);
      return [name, int32([kept.length / (tokens - 1), tokens - 1], kept)];
    }),
  );

/** Nats [B, T − 1] of all cells but the first → [B, T]: it costs nothing. */
export const ofAllCells = (nats: tf.Tensor): tf.Tensor =>
  tf.pad(nats, [
    [0, 0],
    [1, 0],
  ]);

/**
 * The model for a drawer, which asks for the first cell too: any logits will do, as that is known.
 *
 * @param codes K
 */
export const afterFirst = (model: CachedModel, codes: number): CachedModel => ({
  nextLogits: async (ids, position) =>
    position === 0 ? new Float32Array(ids.length * codes) : model.nextLogits(ids, position - 1),
  dispose: () => model.dispose(),
});
