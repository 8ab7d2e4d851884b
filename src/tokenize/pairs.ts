/** Originals above what the tokenizer makes of them. */
import { float32, type HostTensor } from '../base/tensor.js';
import { writeGrid } from '../data/pictures.js';

const columns = 8;

/**
 * One PNG: rows of up to 8 originals, each with its second versions below.
 *
 * @param originals [S, S, 3] each, in [−1, 1]; `seconds` as many
 */
export async function writePairs(
  file: string,
  originals: readonly Float32Array[],
  seconds: readonly Float32Array[],
  size: number,
): Promise<void> {
  const width = Math.min(columns, originals.length);
  const rows = Math.ceil(originals.length / width);
  const area = size * size * 3;
  const images = new Float32Array(2 * rows * width * area).fill(1); // empty places are white
  for (let i = 0; i < originals.length; i++) {
    const place = 2 * Math.floor(i / width) * width + (i % width);
    images.set(originals[i]!, place * area);
    images.set(seconds[i]!, (place + width) * area);
  }
  await writeGrid(file, float32([2 * rows * width, size, size, 3], images), width);
}

/** Image `i` of [n, S, S, 3], a copy. */
export function imageAt(images: HostTensor, i: number): Float32Array {
  const area = images.data.length / images.shape[0]!;
  return Float32Array.from(images.data.subarray(i * area, (i + 1) * area));
}
