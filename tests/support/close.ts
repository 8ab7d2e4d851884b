/**
 * Comparison of tensors for tests: shapes must agree, every value must be finite and within atol + rtol·|expected|;
 * a failure names the largest difference and where it is.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../src/base/tensor.js';

interface Values {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export function expectClose(
  received: Tensor | Values,
  wanted: Tensor | Values | readonly number[],
  { atol = 1e-5, rtol = 1e-5 } = {},
): void {
  const got = valuesOf(received);
  const want = Array.isArray(wanted)
    ? { shape: got.shape, data: wanted as readonly number[] }
    : valuesOf(wanted as Tensor | Values);
  if (got.shape.join() !== want.shape.join() || got.data.length !== want.data.length) {
    throw new Error(
      `shape [${got.shape}] (${got.data.length} values) where [${want.shape}] (${want.data.length}) is expected`,
    );
  }
  let worst = { excess: 0, index: -1 };
  for (let i = 0; i < want.data.length; i++) {
    const a = got.data[i]!;
    const b = want.data[i]!;
    const excess =
      Number.isFinite(a) && Number.isFinite(b)
        ? Math.abs(a - b) - atol - rtol * Math.abs(b)
        : Number.POSITIVE_INFINITY;
    if (excess > worst.excess) worst = { excess, index: i };
  }
  if (worst.index < 0) return;
  const { index } = worst;
  throw new Error(
    `largest difference at index ${index} of shape [${got.shape}]: ` +
      `received ${got.data[index]}, expected ${want.data[index]}`,
  );
}

/**
 * Two states of a training after few steps: every tensor within `share` of its largest value, which may itself be no
 * more than a few steps of Adam. Left out is what has no gradient but rounding noise, of which Adam makes whole steps:
 * biases that the next norm or softmax takes away again.
 */
export function expectSameUpTo(share: number, received: HostTensors, wanted: HostTensors): void {
  expect(Object.keys(received)).toEqual(Object.keys(wanted));
  const far: string[] = [];
  for (const [name, { data }] of Object.entries(wanted)) {
    const moment = wanted[name.replace(/^(model|ema|adam\.v)\./, 'adam.m.')]!;
    const isNoise = (i: number) => name.endsWith('.bias') && Math.abs(moment.data[i]!) < 1e-7;
    const off = largest(Array.from(data, (x, i) => (isNoise(i) ? 0 : x - received[name]!.data[i]!)));
    if (!(off <= share * largest(data))) far.push(`${name}: ${off} of ${largest(data)}`);
  }
  expect(far).toEqual([]);
}

const largest = (data: ArrayLike<number>): number =>
  Array.from(data).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

function valuesOf(t: Tensor | Values): Values {
  return 'dataSync' in t ? { shape: t.shape, data: t.dataSync() } : t;
}
