/** How fast a device multiplies matrices: what most of a training step is. */
import * as tf from '@tensorflow/tfjs-core';
import { scalar } from '../base/tensor.js';
import type { Device, GraphProgram } from './device.js';

const PRODUCTS = 4;

/** From here on (ms) a run is long enough to be trusted. */
const LONG_ENOUGH = 60;
const LARGEST_SIDE = 2048;

/** One scalar spread over a matrix, whose powers are taken: next to nothing goes in or comes out. */
function powers(side: number): GraphProgram<'start'> {
  return {
    name: `products of ${side}`,
    inputs: { start: { shape: [], dtype: 'float32' } },
    constants: {},
    run({ start }) {
      const matrix = tf.mul(tf.ones([side, side]), start) as tf.Tensor2D;
      let power = matrix;
      for (let i = 0; i < PRODUCTS; i++) power = tf.matMul(power, matrix);
      return { largest: tf.max(power) };
    },
  };
}

/**
 * Rate of float32 matrix products in 10⁹ operations a second, over matrices that grow until the time can be trusted.
 */
export async function productRate(device: Device): Promise<number> {
  for (let side = 128; ; side *= 2) {
    const graph = await device.prepare(powers(side));
    try {
      const inputs = { start: scalar(1 / side) };
      await graph.run(inputs); // warms up
      const times: number[] = [];
      for (let i = 0; i < 3; i++) {
        const started = performance.now();
        await graph.run(inputs);
        times.push(performance.now() - started);
      }
      const ms = Math.min(...times);
      if (ms >= LONG_ENOUGH || side === LARGEST_SIDE) return (2 * side ** 3 * PRODUCTS) / ms / 1e6;
    } finally {
      await graph.dispose();
    }
  }
}
