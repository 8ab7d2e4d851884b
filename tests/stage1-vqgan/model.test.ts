import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { loadConfig } from '../../src/config/load.js';
import { configSchema } from '../../src/config/schema.js';
import { imageConv } from '../../src/nn/conv.js';
import { initialise, over, specsOf, treeOf, under } from '../../src/nn/params.js';
import { discriminator, discriminatorSpecs } from '../../src/stage1-vqgan/adversary/discriminator.js';
import { decoderFeatures, decoderSpecs } from '../../src/stage1-vqgan/autoencoder/decoder.js';
import { encoder, encoderSpecs } from '../../src/stage1-vqgan/autoencoder/encoder.js';
import { decoded, lastLayer } from '../../src/stage1-vqgan/autoencoder/index.js';
import { modelOf, modelSpecs, networksOf, stage1Params } from '../../src/stage1-vqgan/model.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';
import { tensorsOf, tinyConfig } from './tiny.js';

/** Parameters as waves: the i-th in the tree's order has frequency 0.3 + 0.01·i. */
function waves<P extends object>(specs: P) {
  const flat = Object.entries(specsOf(specs)).map(([name, { shape }], i) => {
    const k = 0.3 + 0.01 * i;
    const t = name.endsWith('gamma')
      ? tf.add(1, wave(shape, k, 0.1))
      : wave(shape, k, shape.length === 4 ? 0.3 : 0.1);
    return [name, t];
  });
  return treeOf(specs, Object.fromEntries(flat));
}

const firstSix = (t: tf.Tensor) => tf.slice(tf.reshape(t, [-1]), 0, 6);

/** Expected numbers: the same networks in PyTorch, float64, parameters filled with the same waves. */
describe('the networks give the numbers of their PyTorch peers', () => {
  const config = tinyConfig({ norm_groups: 32, disc: { ch: 4, layers: 2 } });
  const sizes = { ...config.stage1, size: config.data.size };
  const close = { atol: 1e-4, rtol: 1e-4 };

  test('encoder', () => {
    const z = encoder(waves(encoderSpecs(sizes, { inputs: 3, outputs: 5 })), wave([2, 8, 8, 3], 0.7));
    expect(z.shape).toEqual([2, 4, 4, 5]);
    expectClose(firstSix(z), [-0.021727, -0.271904, -0.309003, -0.104027, 0.182409, -1.158991], close);
    expectClose(tf.sum(z), [2.5463], { atol: 1e-3 });
  });

  test('decoder', () => {
    const params = waves(decoderSpecs(sizes, { inputs: 5, outputs: 3 }));
    const y = imageConv(params.conv_out, decoderFeatures(params, wave([2, 4, 4, 5], 0.7)));
    expect(y.shape).toEqual([2, 8, 8, 3]);
    expectClose(firstSix(y), [0.047933, 0.424931, 0.27408, 0.009466, -0.206275, -0.168337], close);
    expectClose(tf.sum(y), [27.56153], { atol: 1e-3 });
  });

  test('discriminator', () => {
    const logits = discriminator(waves(discriminatorSpecs(config.stage1.disc)), wave([2, 12, 12, 3], 0.7));
    expectClose(logits, tf.tensor([1.546133, 0.488731], [2, 1, 1, 1]), close);
  });
});

test('the strided network: shapes, nothing below 0 in its features, and the published number of values', () => {
  const stage1 = { network: 'strided', attn_resolutions: [], num_res_blocks: 1 };
  const config = tinyConfig({
    ...stage1,
    ch: 4,
    ch_mult: [1, 2, 3],
    bottleneck: { kind: 'hierarchy', levels: [{}, {}] },
  });
  const net = modelOf(config).net;
  const params = tensorsOf(initialise(over('encoder', net.encoder), 1));
  const z = net.encode(under('encoder', params), wave([2, 8, 8, 3], 0.7));
  expect(z.shape).toEqual([2, 2, 2, 12]);
  expect(tf.min(z).dataSync()[0]).toBe(0);
  const decoder = under('decoder', tensorsOf(initialise(over('decoder', net.decoder), 1)));
  const { filter, picture } = lastLayer(net, decoder, wave([2, 2, 2, 10], 0.7));
  expect(filter.shape).toEqual([4, 4, 3, 4]);
  expect(picture(filter).shape).toEqual([2, 8, 8, 3]);
  expectClose(picture(filter), decoded(net, decoder, wave([2, 2, 2, 10], 0.7)), { atol: 0 });

  const { encoder, bottleneck, decoder: last } = stage1Params(networksOf(loadConfig({ config: 'vq-vae-2' })));
  expect(encoder + bottleneck + last).toBe(1_454_403); // of VQVAE() in vq-vae-2-pytorch, its codes among them
});

/**
 * Figures printed by the PyTorch peer (`torch_peer.py stage1-ae` with these flags) and counted of its discriminator.
 */
describe('parameter counts equal the peer’s', () => {
  const config = (size: number, stage1: object) => configSchema.parse({ data: { size }, stage1 });

  test('--resolution 64 --ch 32 --ch-mult 1,2,4 --res-blocks 1 --z-channels 64 --embed-dim 64 --codes 512', () => {
    const small = config(64, {
      ch: 32,
      ch_mult: [1, 2, 4],
      num_res_blocks: 1,
      z_channels: 64,
      embed_dim: 64,
      codes: 512,
      disc: { ch: 32, layers: 2 },
    });
    const { encoder, bottleneck, decoder, discriminator } = stage1Params(networksOf(small));
    expect(bottleneck).toBe(512 * 64);
    expect(encoder + bottleneck + decoder).toBe(2_876_771);
    expect(discriminator).toBe(167_841);
  });

  test('--resolution 128 --ch 64 --ch-mult 1,1,2,4 --res-blocks 2 --attn-resolutions 16 --z-channels 128 --codes 1024', () => {
    const medium = config(128, {
      ch: 64,
      ch_mult: [1, 1, 2, 4],
      num_res_blocks: 2,
      attn_resolutions: [16],
      z_channels: 128,
      embed_dim: 64,
      codes: 1024,
      disc: { ch: 64, layers: 3 },
    });
    const { encoder, bottleneck, decoder, discriminator } = stage1Params(networksOf(medium));
    expect(encoder + bottleneck + decoder).toBe(16_266_627);
    expect(discriminator).toBe(2_765_633);
  });
});

test('the codebook starts from U(−1/K, 1/K), the discriminator from N(0, 0.02²), its norms from N(1, 0.02²)', () => {
  const config = tinyConfig({ codes: 50, disc: { ch: 16, layers: 2, weight: 1 } });
  const { bottleneck } = modelSpecs(config);
  expect(bottleneck.codebook?.init).toEqual({ kind: 'uniform', bound: 1 / 50 });
  const values = initialise(specsOf(discriminatorSpecs(config.stage1.disc)), 0);
  const { mean, variance } = tf.moments(tf.tensor1d(values['layers.1.conv.weight']!.data));
  expectClose(tf.stack([mean, tf.sqrt(variance)]), [0, 0.02], { atol: 1e-3 });
  expectClose(tf.mean(tf.tensor1d(values['layers.1.norm.gamma']!.data)), [1], { atol: 0.01 });
});
