/**
 * Feature spaces: what turns an image into the numbers by which sets of images are compared. Distances in different
 * spaces are different measures, so every number is called after its space.
 */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { firstAxis, float32, type HostTensor, lastAxis, type Shape4 } from '../base/tensor.js';
import { sha256 } from '../checkpoint/safetensors.js';
import { padBatch } from '../data/inference-batch.js';
import type { Device, GraphProgram } from '../engine/device.js';
import { type OnnxShape, openOnnxFile } from '../engine/onnx-file.js';
import type { FeatureNetwork } from '../perceptual/distances.js';
import { loadTrainedFeatures } from '../perceptual/load.js';

/** Numbers by name; null where there is nothing to measure. */
export type Measures = Readonly<Record<string, number | string | null>>;

export interface FeatureSpace {
  /** Tells the network and what it is given; what is measured under another name cannot be compared. */
  readonly name: string;
  readonly label: SpaceLabel;
  /** F, the number of features. */
  readonly width: number;
  /** Images [n, S, S, 3] in [−1, 1], n at most the batch that the space was opened for → [n, F]. */
  extract(images: HostTensor): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** `vqgen`: its own network. `inception`: a network of the standard one's shape. `onnx`: any other of the user's. */
export type SpaceLabel = 'vqgen' | 'inception' | 'onnx';

/** What the measures of a space are called: `fid` is for the standard network only. */
export function measureNames(label: SpaceLabel) {
  const fd = label === 'inception' ? 'fid' : `fd_${label}`;
  return { fd, rfd: `r${fd}`, precision: `precision_${label}`, recall: `recall_${label}` };
}

/** The network that vqgen has. */
export async function vqgenSpace(device: Device, size: number, batch: number): Promise<FeatureSpace> {
  const network = await loadTrainedFeatures(size);
  const graph = await device.prepare(featuresProgram(network, size, batch));
  const probe = await graph.run({ images: float32([batch, size, size, 3]) });
  const width = lastAxis(probe.features);
  return {
    name: network.name,
    label: 'vqgen',
    width,
    async extract(images) {
      const { features } = await graph.run({ images: padBatch(images, batch) });
      return (features.data as Float32Array).slice(0, firstAxis(images) * width);
    },
    dispose: () => graph.dispose(),
  };
}

/** `images` [B, S, S, 3] → `features` [B, F]. */
export function featuresProgram(
  network: FeatureNetwork,
  size: number,
  batch: number,
): GraphProgram<'images', 'features'> {
  return {
    name: 'features',
    inputs: { images: { shape: [batch, size, size, 3], dtype: 'float32' } },
    constants: network.constants,
    run: ({ images }, constants) => ({ features: network.features(constants, images) }),
  };
}

/** The standard network's shape: InceptionV3's last pool (Heusel et al., arXiv 1706.08500). */
const standard = { side: 299, width: 2048 };

/**
 * A network of the user's: [B, 3, H, W] with values in [0, 1], as PyTorch exports of the standard network take them,
 * to [B, F] or [B, F, 1, 1]. Images are resized bilinearly to H × W (299 × 299 where the file leaves it open).
 *
 * @throws UserError when the file is no such network
 */
export async function onnxSpace(file: string, threads?: number): Promise<FeatureSpace> {
  const network = await openOnnxFile(file, '--features', threads);
  try {
    const { batch, side } = inputOf(file, network.input);
    const run = async (images: Float32Array, n: number) => network.run(float32([n, 3, side, side], images));
    const area = 3 * side * side;
    const probe = await run(new Float32Array((batch ?? 1) * area), batch ?? 1);
    const [, width = 0, ...rest] = probe.shape;
    if (width < 1 || rest.some((n) => n !== 1)) {
      throw wrongShape('a network that ends in [B, F] or [B, F, 1, 1]', file, probe.shape);
    }
    const isStandard = side === standard.side && width === standard.width;
    return {
      name: `${path.basename(file)}, sha256 ${(await sha256(file)).slice(0, 12)}`,
      label: isStandard ? 'inception' : 'onnx',
      width,
      async extract(images) {
        const n = firstAxis(images);
        const features = new Float32Array(n * width);
        const most = batch ?? n;
        for (let at = 0; at < n; at += most) {
          const input = new Float32Array(most * area);
          for (let i = at; i < Math.min(n, at + most); i++)
            resize(images, i, side, input.subarray((i - at) * area));
          const { data } = await run(input, most);
          features.set((data as Float32Array).subarray(0, Math.min(most, n - at) * width), at * width);
        }
        return features;
      },
      dispose: () => network.dispose(),
    };
  } catch (error) {
    await network.dispose();
    throw error;
  }
}

function inputOf(file: string, shape: OnnxShape): { batch?: number; side: number } {
  const fixed = shape.map((n) => (typeof n === 'number' && n > 0 ? n : undefined));
  const [batch, channels = 3, height = standard.side, width = height] = fixed;
  if (shape.length !== 4 || channels !== 3 || height !== width) {
    throw wrongShape('a network that takes [B, 3, S, S]', file, shape);
  }
  return { batch, side: height };
}

const wrongShape = (what: string, file: string, shape: OnnxShape) =>
  expected(
    what,
    '--features',
    `${file} with [${shape.join(', ')}]`,
    'Export the network with its pooled features as the only output.',
  );

/**
 * Image i of [n, S, S, 3] in [−1, 1] → [3, side, side] in [0, 1], bilinear between pixel centres, without filtering
 * before: the standard network's own resize.
 */
export function resize({ shape, data }: HostTensor, i: number, side: number, into: Float32Array): void {
  const [, from] = shape as Shape4;
  const start = i * from * from * 3;
  const places = Array.from({ length: side }, (_, k) => {
    const centre = Math.min(from - 1, Math.max(0, ((k + 0.5) * from) / side - 0.5));
    const low = Math.floor(centre);
    return { low, high: Math.min(from - 1, low + 1), share: centre - low };
  });
  for (const [y, row] of places.entries())
    for (const [x, column] of places.entries())
      for (let c = 0; c < 3; c++) {
        const at = (r: number, k: number): number => data[start + (r * from + k) * 3 + c]!;
        const top = at(row.low, column.low) * (1 - column.share) + at(row.low, column.high) * column.share;
        const bottom =
          at(row.high, column.low) * (1 - column.share) + at(row.high, column.high) * column.share;
        into[(c * side + y) * side + x] = (top * (1 - row.share) + bottom * row.share + 1) / 2;
      }
}
