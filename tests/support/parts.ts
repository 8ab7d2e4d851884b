import * as tf from '@tensorflow/tfjs-core';

/** Runs `f` on the current backend as if it wanted large tensors in parts of so many bytes. */
export function preferring<T>(bytesAtOnce: number | undefined, f: () => T): T {
  const backend = tf.backend() as { bytesAtOnce?: number };
  backend.bytesAtOnce = bytesAtOnce;
  try {
    return f();
  } finally {
    delete backend.bytesAtOnce;
  }
}
