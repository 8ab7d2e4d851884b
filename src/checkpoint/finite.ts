/** Weights that come from a file are numbers to compute with: one NaN, and everything that it meets is one. */
import { expected } from '../base/errors.js';
import type { StoredTensor } from './safetensors.js';

/**
 * The tensor with F64 rounded to F32; whole numbers pass as they are.
 *
 * @param name what to call it in errors, and `file` where it stands
 * @throws UserError for a value that is not finite, or not in float32
 */
export function finite(t: StoredTensor, name: string, file: string): StoredTensor {
  const { shape, data } = t;
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return t;
  const rounded = data instanceof Float64Array ? Float32Array.from(data) : data;
  let wrong = rounded.length - 1;
  while (wrong >= 0 && !isNotFinite(rounded[wrong]!)) wrong--;
  if (wrong < 0) return { dtype: 'F32', shape, data: rounded };
  const value = data[wrong]!;
  const received = isNotFinite(value) ? `${value}` : `${value}, which float32 has no place for,`;
  throw expected(
    'finite numbers',
    `the tensor ${name} in ${file}`,
    `${received} at place ${wrong} of ${data.length}`,
    'Nothing could be computed with it: take an earlier checkpoint of that training.',
  );
}

const isNotFinite = (value: number): boolean => value - value !== 0;
