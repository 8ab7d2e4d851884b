/** Pictures as vqgen has them and as exported files have them. Imports nothing that a browser does not have. */
import { float32, type HostTensor } from '../../base/tensor.js';

/** [B, S, S, 3] in [−1, 1] → [B, 3, S, S] in [0, 1]. */
export function toPlanes({ shape, data }: HostTensor): HostTensor {
  const [batch, height, width] = shape as [number, number, number];
  const planes = float32([batch, 3, height, width]);
  const area = height * width;
  for (let image = 0; image < batch; image++)
    for (let channel = 0; channel < 3; channel++)
      for (let pixel = 0; pixel < area; pixel++)
        planes.data[(3 * image + channel) * area + pixel] =
          (data[3 * (image * area + pixel) + channel]! + 1) / 2;
  return planes;
}

/** The reverse. */
export function fromPlanes({ shape, data }: HostTensor): HostTensor {
  const [batch, , height, width] = shape as [number, number, number, number];
  const images = float32([batch, height, width, 3]);
  const area = height * width;
  for (let image = 0; image < batch; image++)
    for (let channel = 0; channel < 3; channel++)
      for (let pixel = 0; pixel < area; pixel++)
        images.data[3 * (image * area + pixel) + channel] =
          2 * data[(3 * image + channel) * area + pixel]! - 1;
  return images;
}
