/** Numbers on the host: what passes between data, engine and checkpoint. Row-major, logical (TF.js) order. */
import { must } from './lookup.js';

export type DType = 'float32' | 'int32';

export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** Of images [B, H, W, C] or [B, C, H, W], of filters. */
export type Shape4 = readonly [number, number, number, number];

export type HostTensors = Record<string, HostTensor>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** The length of the first axis: a batch, a matrix' rows. */
export const firstAxis = ({ shape }: Pick<HostTensor, 'shape'>): number => must(shape[0], 'first axis');

/** The length of the last axis: channels, a matrix' columns. */
export const lastAxis = ({ shape }: Pick<HostTensor, 'shape'>): number => must(shape.at(-1), 'last axis');

export function float32(shape: readonly number[], data?: Float32Array | readonly number[]): HostTensor {
  const values =
    data instanceof Float32Array ? data : data ? Float32Array.from(data) : new Float32Array(sizeOf(shape));
  return checked({ dtype: 'float32', shape: [...shape], data: values });
}

export function int32(shape: readonly number[], data?: Int32Array | readonly number[]): HostTensor {
  const values =
    data instanceof Int32Array ? data : data ? Int32Array.from(data) : new Int32Array(sizeOf(shape));
  return checked({ dtype: 'int32', shape: [...shape], data: values });
}

export function scalar(value: number): HostTensor {
  return float32([], [value]);
}

function checked(t: HostTensor): HostTensor {
  if (t.data.length !== sizeOf(t.shape)) {
    throw new Error(`internal: ${t.data.length} values do not fill the shape [${t.shape}]`);
  }
  return t;
}
