/** The perceptual network that a config names. */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { readSafetensors, toHosts } from '../checkpoint/safetensors.js';
import type { Config } from '../config/schema.js';
import { lpipsVgg16, type Perceptual, randomFeatures, vgg16Shapes } from './perceptual.js';

/** Undefined where the config has no such term. @throws UserError when the weights' file is not what it should be */
export async function loadPerceptual({ data, stage1 }: Config): Promise<Perceptual | undefined> {
  const { kind, weight, weights: file } = stage1.perceptual;
  if (kind === 'none' || weight === 0) return undefined;
  if (kind === 'random-features') return randomFeatures(data.size);

  if (!existsSync(file!)) {
    throw expected(
      'a safetensors file',
      'stage1.perceptual.weights',
      `${file}, which does not exist`,
      'Name a file with the weights, or do without: --set stage1.perceptual.kind=random-features.',
    );
  }
  const tensors = toHosts((await readSafetensors(file!)).tensors);
  for (const [name, shape] of Object.entries(vgg16Shapes())) {
    const given = tensors[name];
    if (given?.shape.join() === shape.join()) continue;
    throw expected(
      `${name} with shape [${shape}]`,
      file!,
      given ? `shape [${given.shape}]` : 'a file without it',
      "It takes torchvision's vgg16 (features.N.weight, features.N.bias) and LPIPS's lin0.weight to lin4.weight.",
    );
  }
  return lpipsVgg16(tensors);
}
