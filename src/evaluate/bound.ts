/** How likely a VAE finds images: the bound on their likelihood, gathered batch by batch. */
import { type HostTensor, type HostTensors, lastAxis } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { Device } from '../engine/device.js';
import { activeVariance, bitsPerNumber } from '../stage1-vqgan/bottlenecks/gaussian.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
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

/** Of images one after another, all but those of a class that a CVAE does not know. */
export interface BoundRows {
  readonly kl: Float32Array;
  readonly squared: Float32Array;
  /** Numbers of an image, one image after another. */
  readonly away: Float32Array;
}

export interface Bound {
  /**
   * @param images [B, S, S, 3], of which the first n count
   * @param classes the names of their classes
   * @param first the place of the first among all
   */
  of(images: HostTensor, classes: readonly string[], n: number, first: number): Promise<BoundRows>;
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
  const known = config.stage1.bottleneck.classes;
  return {
    async of(images, classes, n, first) {
      const found = Array.from({ length: batch }, (_, i) => known.indexOf(classes[i] ?? ''));
      const labels = Int32Array.from(found, (label) => Math.max(0, label));
      const { batched } = model.bottleneck.feed('eval', first, labels);
      const { kl, squared, away } = await graph.run({ images, ...batched });
      // Of an unknown class there is nothing to be near.
      const counted = [...found.slice(0, n).keys()].filter((i) => known.length === 0 || found[i]! >= 0);
      const rows = ({ data }: HostTensor) => {
        const width = data.length / batch;
        return Float32Array.from(counted.flatMap((i) => [...data.subarray(i * width, (i + 1) * width)]));
      };
      return { kl: rows(kl), squared: rows(squared), away: rows(away) };
    },
    dispose: () => graph.dispose(),
  };
}

/** The bound, of rows that come in batches. */
export class BoundSums {
  private readonly units: number;
  private readonly sum: Float64Array;
  private readonly squares: Float64Array;
  private readonly sums = { kl: 0, squared: 0, images: 0, rows: 0 };

  constructor(private readonly config: Config) {
    const { latent } = bottleneckOf(config);
    this.units = latent.kind === 'gaussian' ? lastAxis(latent) : 0;
    [this.sum, this.squares] = [new Float64Array(this.units), new Float64Array(this.units)];
  }

  add({ kl, squared, away }: BoundRows): void {
    const { units, sum, squares, sums } = this;
    for (const i of kl.keys()) {
      sums.kl += kl[i]!;
      sums.squared += squared[i]!;
      sums.images++;
      sums.rows += away.length / kl.length / units;
    }
    for (const [k, value] of away.entries()) {
      sum[k % units]! += value;
      squares[k % units]! += value ** 2;
    }
  }

  /** Undefined where no image counted. */
  measures(): BoundMeasures | undefined {
    const { config, sum, squares, sums } = this;
    if (sums.images === 0) return undefined;
    const kl = sums.kl / sums.images;
    const variances = sum.map((value, u) => squares[u]! / sums.rows - (value / sums.rows) ** 2);
    return {
      kl,
      latent_bits: kl / Math.LN2,
      elbo: bitsPerNumber(sums.squared / sums.images, kl, 3 * config.data.size ** 2),
      active_units: variances.filter((variance) => variance > activeVariance).length,
    };
  }
}
