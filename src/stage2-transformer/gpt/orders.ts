/**
 * Order annealing (Yu et al., RAR, arXiv 2411.00776, section 3.2): in training a sequence's cells come in a random
 * order with a probability that is 1 at first and 0 at last. Each grid's cells stay among themselves, so that what a
 * grid is told of those before it does not change.
 */
import { must } from '../../base/lookup.js';
import { permutation, type Rng, stream } from '../../base/rng.js';
import { float32, type HostTensor, type HostTensors, int32 } from '../../base/tensor.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import type { Canvas } from '../canvas.js';

/** The probability at a step (1-based): 1 for half of the steps, then falling to 0 at three quarters. */
export const randomShare = (step: number, steps: number): number =>
  Math.min(1, Math.max(0, 3 - (4 * (step - 1)) / steps));

/** [B, T]: the cells of each sequence of a step in the order in which it is read. */
export function ordersOf(
  grids: readonly Grid[],
  batch: number,
  o: { readonly share: number; readonly seed: number; readonly step: number },
): Int32Array {
  const rng = stream(o.seed, 'order', o.step);
  return Int32Array.from(
    Array.from({ length: batch }, () => order(grids, rng.uniform() < o.share ? rng : undefined)).flat(),
  );
}

function order(grids: readonly Grid[], rng: Rng | undefined): number[] {
  let first = 0;
  return grids.flatMap(({ height, width }) => {
    const cells = height * width;
    const among = rng ? permutation(cells, rng) : Int32Array.from({ length: cells }, (_, i) => i);
    first += cells;
    return Array.from(among, (cell) => first - cells + cell);
  });
}

/**
 * A canvas whose codes are in an order, and where its tokens stand: int32 [B, T] each, as `Order` has them.
 *
 * @param orders [B, T]
 */
export function reordered(
  canvas: Canvas,
  orders: Int32Array,
): { canvas: Canvas; places: HostTensor; next: HostTensor } {
  const batch = canvas.labels.length;
  const tokens = orders.length / batch;
  const codes = orders.map((cell, i) => canvas.codes[i - (i % tokens) + cell]!);
  const places = orders.map((_, i) => (i % tokens === 0 ? 0 : orders[i - 1]! + 1));
  const shape = [batch, tokens];
  return { canvas: { ...canvas, codes }, places: int32(shape, places), next: int32(shape, orders) };
}

/**
 * The weights of a GPT that reads row by row and knows no orders, from one that was trained in many: in this order a
 * place has one next cell, and what is told of it is added to the place's own row (section 3.3).
 */
export function withoutOrders({ targets, positions, ...rest }: HostTensors): HostTensors {
  const next = must(targets, 'targets');
  const { data } = must(positions, 'positions');
  return { ...rest, positions: float32(next.shape, next.data.map((v, i) => v + data[i]!) as Float32Array) };
}
