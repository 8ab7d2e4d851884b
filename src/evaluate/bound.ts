/** How likely a VAE finds images: the bound on their likelihood, gathered batch by batch. */
import { type HostTensor, type HostTensors, lastAxis } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { Device } from '../engine/device.js';
import { activeVariance, bitsPerNumber } from '../stage1-vqgan/bottlenecks/gaussian.js';
import { modelOf } from '../stage1-vqgan/model.js';
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
  /** Of all images so far, but for those of a class that a CVAE does not know; undefined where that is all. */
  measures(): BoundMeasures | undefined;
  dispose(): Promise<void>;
}

/** @returns undefined for a run whose latents are not drawn around something */
export async function openBound(
  config: Config,
  weights: HostTensors,
  { batch, device }: { batch: number; device: Device },
): Promise<Bound | undefined> {
  const model = modelOf(config);
  const program = boundProgram(model, weights, batch);
  if (!program) return undefined;
  const graph = await device.prepare(program);
  const { bottleneck } = model;
  const known = config.stage1.bottleneck.classes;
  const units = bottleneck.latent.kind === 'gaussian' ? lastAxis(bottleneck.latent) : 0;
  const [sum, squares] = [new Float64Array(units), new Float64Array(units)];
  const sums = { kl: 0, squared: 0, images: 0, rows: 0 };
  let seen = 0;
  return {
    async add(images, classes, n) {
      const found = Array.from({ length: batch }, (_, i) => known.indexOf(classes[i] ?? ''));
      const labels = Int32Array.from(found, (label) => Math.max(0, label));
      const { batched } = bottleneck.feed('eval', seen, labels);
      seen += n;
      const { kl, squared, away } = await graph.run({ images, ...batched });
      const numbers = away.data.length / batch;
      for (const [i, label] of found.slice(0, n).entries()) {
        if (known.length > 0 && label < 0) continue; // Of an unknown class there is nothing to be near.
        sums.kl += kl.data[i]!;
        sums.squared += squared.data[i]!;
        sums.images++;
        sums.rows += numbers / units;
        for (let k = i * numbers; k < (i + 1) * numbers; k++) {
          sum[k % units]! += away.data[k]!;
          squares[k % units]! += away.data[k]! ** 2;
        }
      }
    },
    measures() {
      if (sums.images === 0) return undefined;
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
