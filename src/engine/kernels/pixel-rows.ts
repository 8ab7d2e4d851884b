/** Images as rows of channels, of which a Gather takes what lies under windows that reach over the edge. */
import { firstAxis, lastAxis, type Shape4 } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import type { Sym, Tracer } from '../tracer.js';

/** x `[B, H, W, C]` → `[B·H·W + 1, C]`; the last row is of zeros. */
export function pixelRows(t: Tracer, x: Sym): Value {
  const [batch, height, width, channels] = x.shape as Shape4;
  const rows = batch * height * width;
  const zero = t.graph.derived(undefined, `row of ${channels} zeros`, () =>
    t.graph.constant('float32', [1, channels], new Float32Array(channels)),
  );
  const pixels = t.reshape(t.plain(x), [rows, channels]);
  return t.graph.op('Concat', [pixels, zero], { axis: 0 }, { shape: [rows + 1, channels] });
}

/** The row of a pixel; outside the image that of zeros. */
export function rowOf(
  [batch, height, width]: readonly [number, number, number],
  [b, y, x]: readonly [number, number, number],
): number {
  const inside = y >= 0 && y < height && x >= 0 && x < width;
  return inside ? (b * height + y) * width + x : batch * height * width;
}

/** Rows by their numbers. */
export function gatherRows(t: Tracer, rows: Value, index: Value): Value {
  const shape = [firstAxis(index), lastAxis(rows)];
  return t.graph.op('Gather', [rows, index], { axis: 0 }, { shape });
}
