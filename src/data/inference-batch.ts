/** Inference runs at one fixed batch size, so that no result depends on how many images were asked for. */
import { float32, type HostTensor } from '../base/tensor.js';

const most = 16;
const mostPixels = most * 64 * 64;

/** 16 images up to 64 pixels, fewer of larger ones, for the memory's sake: a power of two. */
export function inferenceBatch(size: number): number {
  const fitting = Math.max(1, Math.floor(mostPixels / (size * size)));
  return Math.min(most, 2 ** Math.floor(Math.log2(fitting)));
}

/** [n, …] with n ≤ batch → [batch, …], zeros behind. */
export function padBatch(images: HostTensor, batch: number): HostTensor {
  const [n, ...rest] = images.shape;
  if (n === batch) return images;
  const padded = float32([batch, ...rest]);
  padded.data.set(images.data);
  return padded;
}
