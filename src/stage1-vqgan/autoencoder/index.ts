/** Encoder and decoder, whatever stands between them: the network that a config names (`stage1.network`). */
import type * as tf from '@tensorflow/tfjs-core';
import { entry, last } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { conv, convSpecs, imageConv } from '../../nn/conv.js';
import { type ParamSpec, specsOf, treeOf } from '../../nn/params.js';
import type { VqganSizes } from './blocks.js';
import { decoderFeatures, decoderSpecs } from './decoder.js';
import { encoder, encoderSpecs } from './encoder.js';
import { photoFilter } from './filter.js';
import { doubled, narrowed, narrowingSpecs, widenedButLast, wideningSpecs } from './strided.js';

/** Names of parameters are a network's own; `p` holds all of the encoder's, or of the decoder's, by them. */
export interface Autoencoder {
  readonly encoder: Record<string, ParamSpec>;
  readonly decoder: Record<string, ParamSpec>;
  /** What is seen of images, [B, S, S, 3 or 4] about [−1, 1], → z [B, h, w, C], h = w = S / 2^(levels − 1). */
  encode(p: Tensors, seen: tf.Tensor): tf.Tensor;
  /** What the bottleneck gives, [B, h, w, D], → what the last layer takes. */
  features(p: Tensors, q: tf.Tensor): tf.Tensor;
  /** The last layer, and the filter behind it: → images [B, S, S, 3], about [−1, 1] but not clamped. */
  picture(p: Tensors, features: tf.Tensor): tf.Tensor;
  /** The name of its filter. */
  readonly lastFilter: string;
}

/** Channels where the parts meet. */
export interface Joints {
  /** Of what the encoder sees. */
  readonly seen: number;
  /** That the bottleneck takes; left out: the encoder's features as they are. */
  readonly taken?: number;
  /** That it gives. */
  readonly given: number;
}

type Sizes = VqganSizes & Pick<Stage1Config, 'network' | 'filter' | 'upsampling'>;

interface Network {
  /** Channels of the encoder's features. */
  features(sizes: Omit<Sizes, 'size'>): number;
  make(sizes: Sizes, joints: Joints): Autoencoder;
}

const networks: Record<Stage1Config['network'], Network> = {
  vqgan: {
    features: ({ z_channels }) => z_channels,
    make(sizes, { seen, taken, given }) {
      const enc = encoderSpecs(sizes, { inputs: seen, outputs: taken });
      const dec = decoderSpecs(sizes, given);
      return {
        encoder: specsOf(enc),
        decoder: specsOf(dec),
        encode: (p, images) => encoder(treeOf(enc, p), images),
        features: (p, q) => decoderFeatures(treeOf(dec, p), q),
        picture: (p, features) => imageConv(treeOf(dec, p).conv_out, features),
        lastFilter: 'conv_out.weight',
      };
    },
  },

  strided: {
    features: ({ ch, ch_mult }) => ch * last(ch_mult),
    make({ ch, ch_mult, num_res_blocks: blocks, upsampling }, { seen, taken, given }) {
      const width = ch * last(ch_mult);
      const halvings = ch_mult.slice(0, -1).map((mult) => ch * mult);
      const doublings = [...halvings.slice(0, -1).reverse(), 3];
      const enc = {
        ...narrowingSpecs(seen, halvings, { outputs: width, blocks }),
        ...(taken !== undefined && { embed: convSpecs(1, width, taken) }),
      };
      const dec = wideningSpecs(given, doublings, { width, blocks, upsampling });
      return {
        encoder: specsOf(enc),
        decoder: specsOf(dec),
        encode(p, images) {
          const params = treeOf(enc, p);
          const features = narrowed(params, images);
          return params.embed ? conv(params.embed, features) : features;
        },
        features: (p, q) => widenedButLast(treeOf(dec, p), q),
        picture: (p, features) => doubled(last(treeOf(dec, p).doublings), features),
        lastFilter: `doublings.${doublings.length - 1}.weight`,
      };
    },
  },
};

export function autoencoderOf(sizes: Sizes, joints: Joints): Autoencoder {
  const net = networks[sizes.network].make(sizes, joints);
  if (sizes.filter === 'none') return net;
  return { ...net, picture: (p, features) => photoFilter(net.picture(p, features)) };
}

export const featuresOf = (sizes: Omit<Sizes, 'size'>): number => networks[sizes.network].features(sizes);

/** The whole decoder: [B, h, w, D] → images [B, S, S, 3]. */
export const decoded = ({ features, picture }: Autoencoder, p: Tensors, q: tf.Tensor): tf.Tensor =>
  picture(p, features(p, q));

/**
 * The decoder up to its last layer, and that: its filter, and the images [B, S, S, 3] that it makes with that or
 * another.
 */
export function lastLayer(net: Autoencoder, p: Tensors, q: tf.Tensor) {
  const features = net.features(p, q);
  return {
    filter: entry(p, net.lastFilter),
    picture: (filter: tf.Tensor): tf.Tensor => net.picture({ ...p, [net.lastFilter]: filter }, features),
  };
}
