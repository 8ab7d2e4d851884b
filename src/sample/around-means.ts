/** How latents that are numbers are drawn around what they lie around. Imports nothing that a browser does not have. */
import { stream } from '../base/rng.js';

/**
 * Draws the latent of image number `image` of a seed. @param label into the classes, −1 without. @param temperature
 * factor of the deviation from the mean
 */
export type Draw = (o: { seed: number; image: number; label: number; temperature: number }) => Float32Array;

/**
 * N(μ_y, T²·I) of class y, N(0, T²·I) without.
 *
 * @param means of each class, flat
 */
export function aroundMeans(means: readonly Float32Array[], width: number): Draw {
  return ({ seed, image, label, temperature }) => {
    const rng = stream(seed, 'sample', image);
    return Float32Array.from(
      { length: width },
      (_, i) => (means[label]?.[i] ?? 0) + temperature * rng.normal(),
    );
  };
}
