/** How much memory training takes, before it starts. */
import { last } from '../base/lookup.js';
import type { Stage1Config } from '../config/schema.js';
import { countParams } from '../nn/params.js';
import { type Networks, stage1Params } from './model.js';

/** Node and ONNX Runtime. */
const base = 240e6;

/**
 * How many times over state and activations are held at the peak; on runs that took 0.5 to 3.6 GB it told 0.85 to 1.6
 * times as much.
 */
const copies = 5;

/**
 * Estimated peak in bytes: the state while a step replaces it, and what the forward pass of a micro-batch keeps for
 * the backward one.
 */
export function expectedMemory(networks: Networks, stage1: Stage1Config): number {
  const { encoder, bottleneck, decoder, discriminator } = stage1Params(networks);
  const model = encoder + bottleneck + decoder;
  const trained = countParams(networks.model.trained);
  const { batch_size, accumulate, ema } = stage1;
  const sums = accumulate > 1 ? 1 : 0;
  const state = model * (ema > 0 ? 2 : 1) + trained * (2 + sums) + discriminator * (3 + sums);
  return base + 4 * copies * (state + activations(networks, stage1) * (batch_size / accumulate));
}

/** Values kept for one image. */
function activations({ model, adversary }: Networks, stage1: Stage1Config): number {
  const { size } = model;
  const { disc, network, perceptual } = stage1;
  const pixels = size ** 2;
  let sum = network === 'vqgan' ? ofVqgan(size, stage1) : ofStrided(size, stage1);
  if (adversary) sum += 3 * pixels * disc.ch;
  if (perceptual.kind === 'random-features') sum += pixels * 70;
  if (perceptual.kind === 'vqgen') sum += pixels * 160;
  if (perceptual.kind === 'lpips-vgg16') sum += pixels * 500;
  return sum;
}

/** Each layer's result, once before and once behind its ReLU, of encoder and decoder. */
function ofStrided(size: number, { ch, ch_mult, num_res_blocks }: Stage1Config): number {
  const at = (level: number) => (size >> level) ** 2;
  const coarsest = ch_mult.length - 1;
  const halvings = ch_mult.slice(0, -1).reduce((sum, mult, i) => sum + 2 * at(i + 1) * ch * mult, 0);
  return 2 * (halvings + 2 * (1 + 2 * num_res_blocks) * at(coarsest) * ch * last(ch_mult));
}

function ofVqgan(size: number, stage1: Stage1Config): number {
  const at = (level: number) => (size >> level) ** 2;
  let sum = 0;
  let channels = stage1.ch;
  const coarsest = stage1.ch_mult.length - 1;
  // A residual block keeps its input and, of either norm, the centred values.
  const block = (level: number, width: number, attention: boolean) => {
    sum += at(level) * (channels + 2 * width);
    if (attention) sum += at(level) * 6 * width + 2 * at(level) ** 2;
    channels = width;
  };
  stage1.ch_mult.forEach((mult, level) => {
    const attention = stage1.attn_resolutions.includes(size >> level);
    for (let i = 0; i < 2 * stage1.num_res_blocks + 1; i++) block(level, stage1.ch * mult, attention);
  });
  for (let i = 0; i < 2; i++) {
    block(coarsest, channels, true);
    block(coarsest, channels, false);
  }
  return sum;
}
