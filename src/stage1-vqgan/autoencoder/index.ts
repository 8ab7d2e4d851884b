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
import { type Planes, planesOf } from './planes.js';
import { doubled, narrowed, narrowingSpecs, widenedButLast, wideningSpecs } from './strided.js';

/** Names of parameters are a network's own; `p` holds all of the encoder's, or of the decoder's, by them. */
export interface Autoencoder {
  readonly encoder: Record<string, ParamSpec>;
  readonly decoder: Record<string, ParamSpec>;
  /** What is seen of images, [B, S, S, 3 or 4] about [−1, 1], → z [B, h, w, C], h = w = S / 2^(levels − 1). */
  encode(p: Tensors, seen: tf.Tensor): tf.Tensor;
  /** What the bottleneck gives, [B, h, w, D], → what the last layer takes. */
  features(p: Tensors, q: tf.Tensor): tf.Tensor;
  /**
   * The last layer, and the filter behind it: → images [B, S, S, 3], about [−1, 1] but not clamped, or of labels the
   * logits of each, [B, S, S, L].
   */
  picture(p: Tensors, features: tf.Tensor): tf.Tensor;
  readonly planes: Planes;
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
  /** @param joints.made channels of what the decoder makes */
  make(sizes: Sizes, joints: Joints & { readonly made: number }): Omit<Autoencoder, 'planes'>;
}

const networks: Record<Stage1Config['network'], Network> = {
  vqgan: {
    features: ({ z_channels }) => z_channels,
    make(sizes, { seen, taken, given, made }) {
      const enc = encoderSpecs(sizes, { inputs: seen, outputs: taken });
      const dec = decoderSpecs(sizes, { inputs: given, outputs: made });
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
    make({ ch, ch_mult, num_res_blocks: blocks, upsampling }, { seen, taken, given, made }) {
      const width = ch * last(ch_mult);
      const halvings = ch_mult.slice(0, -1).map((mult) => ch * mult);
      const doublings = [...halvings.slice(0, -1).reverse(), made];
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

/** @param planes red, green and blue unless given */
export function autoencoderOf(sizes: Sizes, joints: Joints, planes = planesOf(photographs)): Autoencoder {
  const seen = joints.seen - photographs.channels + planes.count;
  const net = networks[sizes.network].make(sizes, { ...joints, seen, made: planes.count });
  const filter = sizes.filter === 'none' ? (picture: tf.Tensor) => picture : photoFilter;
  return {
    ...net,
    planes,
    encode: (p, seen) => net.encode(p, planes.of(seen)),
    picture: (p, features) => filter(planes.compared(net.picture(p, features))),
  };
}

const photographs = { pictures: 'photographs', labels: [] as string[], channels: 3 } as const;

export const featuresOf = (sizes: Omit<Sizes, 'size'>): number => networks[sizes.network].features(sizes);

/** The whole decoder: [B, h, w, D] → what losses compare, see `Planes`. */
export const compared = ({ features, picture }: Autoencoder, p: Tensors, q: tf.Tensor): tf.Tensor =>
  picture(p, features(p, q));

/** [B, h, w, D] → images [B, S, S, 3]. */
export const decoded = (net: Autoencoder, p: Tensors, q: tf.Tensor): tf.Tensor =>
  net.planes.shown(compared(net, p, q));

/**
 * The decoder up to its last layer, and that: its filter, and what losses compare, made with that or another.
 */
export function lastLayer(net: Autoencoder, p: Tensors, q: tf.Tensor) {
  const features = net.features(p, q);
  return {
    filter: entry(p, net.lastFilter),
    picture: (filter: tf.Tensor): tf.Tensor => net.picture({ ...p, [net.lastFilter]: filter }, features),
  };
}
