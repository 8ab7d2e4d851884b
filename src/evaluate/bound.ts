/** How likely a VAE finds images: the bound on their likelihood, gathered batch by batch. */
import type { HostTensor, HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { Device } from '../engine/device.js';
import { activeVariance, bitsPerNumber } from '../stage1-vqgan/bottlenecks/gaussian.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { boundProgram } from '../stage1-vqgan/programs.js';

export interface BoundMeasures {
  /** Nats an image, and the same as bits: what the latent says of it. */
  readonly kl: number;
  readonly latent_bits: number;
  /** Bits for each number of an 8-bit image. */
  readonly elbo: number;
  /** Units whose mean varies from image to image. */
  readonly active_units: number;
}

export interface Bound {
  /**
   * @param images [B, S, S, 3], of which the first n count
   * @param classes the names of their classes
   */
  add(images: HostTensor, classes: readonly string[], n: number): Promise<void>;
  /** Of all images so far. */
  measures(): BoundMeasures;
  dispose(): Promise<void>;
}

/** @returns undefined for a run whose latents are not drawn around something */
export async function openBound(
  config: Config,
  weights: HostTensors,
  { batch, device }: { batch: number; device: Device },
): Promise<Bound | undefined> {
  const program = boundProgram(config, weights, batch);
  if (!program) return undefined;
  const graph = await device.prepare(program);
  const bottleneck = bottleneckOf(config);
  const known = config.stage1.bottleneck.classes;
  const units = bottleneck.latent.kind === 'gaussian' ? bottleneck.latent.shape.at(-1)! : 0;
  const [sum, squares] = [new Float64Array(units), new Float64Array(units)];
  const sums = { kl: 0, squared: 0, images: 0, rows: 0 };
  return {
    async add(images, classes, n) {
      // An image of an unknown class counts as one of the first: there is none without.
      const labels = Int32Array.from({ length: batch }, (_, i) =>
        Math.max(0, known.indexOf(classes[i] ?? '')),
      );
      const { batched } = bottleneck.feed('eval', sums.images, labels);
      const { kl, squared, mean } = await graph.run({ images, ...batched });
      for (let i = 0; i < n; i++) {
        sums.kl += kl!.data[i]!;
        sums.squared += squared!.data[i]!;
      }
      const numbers = (mean!.data.length / batch) * n;
      for (let i = 0; i < numbers; i++) {
        sum[i % units]! += mean!.data[i]!;
        squares[i % units]! += mean!.data[i]! ** 2;
      }
      sums.images += n;
      sums.rows += numbers / units;
    },
    measures() {
      const kl = sums.kl / sums.images;
      const variances = sum.map((value, u) => squares[u]! / sums.rows - (value / sums.rows) ** 2);
      return {
        kl,
        latent_bits: kl / Math.LN2,
        elbo: bitsPerNumber(sums.squared / sums.images, kl, 3 * config.data.size ** 2),
        active_units: variances.filter((variance) => variance > activeVariance).length,
      };
    },
    dispose: () => graph.dispose(),
  };
}
