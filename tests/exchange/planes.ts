/** Pictures of 8 × 8 pixels as exported files take and give them. */
import { float32, type HostTensor, int32 } from '../../src/base/tensor.js';

/** [B, 8, 8, 3] in [−1, 1] → [B, 3, 8, 8] in [0, 1]. */
export function planes({ shape, data }: HostTensor): HostTensor {
  const [batch] = shape as [number];
  const at = (b: number, c: number, p: number) => (data[(b * 64 + p) * 3 + c]! + 1) / 2;
  const values = Float32Array.from({ length: batch * 192 }, (_, i) =>
    at(Math.floor(i / 192), Math.floor(i / 64) % 3, i % 64),
  );
  return float32([batch, 3, 8, 8], values);
}

/** The first rows of a batch. */
export function first({ shape: [all, ...rest], data }: HostTensor, rows: number): HostTensor {
  const part = data.slice(0, (data.length / all!) * rows);
  return part instanceof Float32Array ? float32([rows, ...rest], part) : int32([rows, ...rest], part);
}

export const clamped = (t: HostTensor): HostTensor =>
  float32(
    t.shape,
    Float32Array.from(t.data, (x) => Math.min(1, Math.max(0, x))),
  );
