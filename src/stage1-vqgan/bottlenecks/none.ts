/** No bottleneck but the width of the latent: an autoencoder. */

import * as tf from '@tensorflow/tfjs-core';
import { only } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Bottleneck, Place } from '../latent.js';
import { layoutOf } from './layout.js';

export function unbound(config: Stage1Config, place: Place): Bottleneck {
  const { shape, channels, learned, numbers, features } = layoutOf(config, place, 1);
  return {
    latent: { kind: 'plain', shape },
    channels,
    learned,
    own: {},
    state: {},
    partial: {},
    terms: [],
    settles: 1,
    watch: () => () => undefined,
    inputs: () => ({}),
    feed: () => ({}),
    pass: (p, z) => ({ output: features(p, only(numbers(p, z))), codes: [], terms: {}, loss: tf.scalar(0) }),
    encode: numbers,
    decode: (p, latent) => features(p, only(latent)),
  };
}
