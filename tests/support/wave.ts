import * as tf from '@tensorflow/tfjs-core';

/** Deterministic test values that other tools reproduce: a · sin(k·i) in row-major order. */
export function wave(shape: readonly number[], k: number, a = 1): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => a * Math.sin(k * i)),
    [...shape],
  );
}
