/**
 * Composite kernels: groups of ordinary operations that a device may run as one.
 *
 * A layer calls `composite(name, inputs, attrs, fallback)` inside a `tf.customGrad`: a backend that has registered a
 * kernel of that name (the tracer, for what ONNX Runtime does better) runs it, every other backend runs the fallback
 * of ordinary operations. Values are the same; no gradient is recorded, the `customGrad` around it has the closed
 * form.
 */
import * as tf from '@tensorflow/tfjs-core';

export type CompositeInputs = Record<string, tf.Tensor>;
export type CompositeAttrs = Record<string, number | boolean | string | number[]>;

/** @returns as many tensors as `fallback` */
export function composite<T extends tf.Tensor[] | [tf.Tensor]>(
  name: string,
  inputs: CompositeInputs,
  attrs: CompositeAttrs,
  fallback: () => T,
): T {
  if (!tf.getKernel(name, tf.getBackend())) return tf.tidy(fallback);
  return [tf.engine().runKernel<tf.Tensor | tf.Tensor[]>(name, inputs, attrs)].flat() as T;
}
