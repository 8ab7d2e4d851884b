/** The perceptual network that a config names. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { parseTexts } from '../base/json.js';
import { inPackage } from '../base/root.js';
import type { HostTensors } from '../base/tensor.js';
import { readChecked } from '../checkpoint/content-sum.js';
import { finite } from '../checkpoint/finite.js';
import { sha256, toHost } from '../checkpoint/safetensors.js';
import type { Config } from '../config/schema.js';
import {
  type FeatureNetwork,
  lpipsVgg16,
  type Perceptual,
  randomFeatures,
  vgg16Shapes,
} from './distances.js';
import { type Pooling, poolings, trainedFeatures, trainedShapes } from './trained-features.js';

export const configKey = 'stage1.perceptual.weights';

/** Undefined where the config has no such term. @throws UserError when the weights' file is not what it should be */
export async function loadPerceptual({ data, stage1 }: Config): Promise<Perceptual | undefined> {
  const { kind, weight, weights } = stage1.perceptual;
  const where = configKey;
  if (kind === 'none' || weight === 0) return undefined;
  if (kind === 'random-features') return randomFeatures(data.size);
  if (kind === 'vqgen') return loadTrainedFeatures(data.size, weights ?? undefined, where);
  if (weights === null) throw new Error('internal: LPIPS has no weights of its own');
  return lpipsVgg16(
    await readWeights(weights, where, {
      shapes: () => vgg16Shapes(),
      remedy:
        "It takes torchvision's vgg16 (features.N.weight, features.N.bias) and LPIPS's lin0.weight to lin4.weight.",
    }),
  );
}

/**
 * vqgen's trained network.
 *
 * @param place a folder that `train-perceptual` made, or its file; left out, the weights that come with vqgen
 * @throws UserError when there is none
 */
export async function loadTrainedFeatures(
  size: number,
  place?: string,
  where?: string,
): Promise<Perceptual & FeatureNetwork> {
  const { weights, name, pooling } = await loadTrained(place, where);
  return trainedFeatures(weights, { size, name, pooling });
}

/** What a file of `train-perceptual` holds. */
export interface Trained {
  readonly file: string;
  /** Tells these weights from others. */
  readonly name: string;
  /** Of `trainedShapes`. */
  readonly weights: HostTensors;
  readonly classes: readonly string[];
  /** Side of the images that it was trained on, pixels. */
  readonly size: number;
  readonly pooling: Pooling;
}

/** The file's name in a folder of `train-perceptual`. */
export const trainedFile = 'perceptual.safetensors';

const shipped = inPackage('checkpoints/perceptual', trainedFile);

/** The file of a network that is named by it or by its folder. */
export const networkFile = (place: string): string =>
  existsSync(place) && statSync(place).isDirectory() ? path.join(place, trainedFile) : place;

/** @throws UserError as `loadTrainedFeatures` */
export async function loadTrained(
  place = shipped,
  where = 'the weights that come with vqgen',
): Promise<Trained> {
  const file = networkFile(place);
  let about: Pick<Trained, 'classes' | 'size' | 'pooling'> = { classes: [], size: 0, pooling: 'means' };
  const weights = await readWeights(file, where, {
    shapes: ({ classes = '[]', size = '0', pooling = 'means' }) => {
      if (!Object.hasOwn(poolings, pooling)) {
        throw expected(
          `a network that halves images by ${Object.keys(poolings).join(' or ')}`,
          file,
          pooling,
          'A newer vqgen may have made it.',
        );
      }
      about = { classes: textsIn(classes, file), size: Number(size), pooling: pooling as Pooling };
      return trainedShapes(about.classes.length);
    },
    remedy: 'It takes a folder that vqgen train-perceptual made, or its file.',
  });
  return { file, name: `vqgen-classifier ${(await sha256(file)).slice(0, 12)}`, weights, ...about };
}

function textsIn(classes: string, file: string): string[] {
  try {
    return parseTexts(classes);
  } catch (cause) {
    throw expected('names of classes', file, 'something else', 'Train it again.', cause);
  }
}

/** The tensors that are asked for, and no others. */
async function readWeights(
  file: string,
  where: string,
  o: { shapes: (metadata: Record<string, string>) => Record<string, number[]>; remedy: string },
): Promise<HostTensors> {
  if (!existsSync(file)) {
    throw expected(
      'a safetensors file',
      where,
      `${file}, which does not exist`,
      where === configKey
        ? `Where it is now is told by vqgen train-stage1 --resume --set ${configKey}=FILE; a new run may do without: --set stage1.perceptual.kind=random-features.`
        : o.remedy,
    );
  }
  const { tensors, metadata } = await readChecked(file);
  const hosts: HostTensors = {};
  for (const [name, shape] of Object.entries(o.shapes(metadata))) {
    const given = tensors[name];
    if (given?.shape.join() === shape.join()) {
      hosts[name] = toHost(finite(given, name, file));
      continue;
    }
    throw expected(
      `${name} with shape [${shape}]`,
      file,
      given ? `shape [${given.shape}]` : 'a file without it',
      o.remedy,
    );
  }
  return hosts;
}
