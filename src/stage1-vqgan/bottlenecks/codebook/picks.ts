/** Which encoder outputs codes become when they start or restart. */
import { nth } from '../../../base/lookup.js';
import { permutation, stream } from '../../../base/rng.js';
import { float32, type HostTensors, int32 } from '../../../base/tensor.js';
import type { Place } from '../../latent.js';
import { rowsOfBatch } from './rules.js';

/**
 * For each code another row of the batch's B·h·w encoder outputs, drawn by seed and step; repeated where there are
 * more codes.
 */
export function picksAt(step: number, codes: number, place: Place): Int32Array {
  const rows = rowsOfBatch(place);
  const order = permutation(rows, stream(place.seed, 'pick', step));
  return Int32Array.from({ length: codes }, (_, code) => nth(order, code % rows));
}

/**
 * The same in the rows of the i-th micro-batch: `pick` int32 [K], and `own` [K, 1], 1 at the codes whose row it has.
 */
export function picksWithin(picks: Int32Array, i: number, place: Place): HostTensors {
  const rows = rowsOfBatch(place) / place.parts;
  const isOwn = picks.map((row) => (Math.floor(row / rows) === i ? 1 : 0));
  return {
    pick: int32(
      [picks.length],
      picks.map((row, code) => (isOwn[code] ? row - i * rows : 0)),
    ),
    own: float32([picks.length, 1], Float32Array.from(isOwn)),
  };
}
