/** Gradients in closed form, and small tools for training steps that compute their gradients in stages. */
import './kernel-gradients.js';
import * as tf from '@tensorflow/tfjs-core';

interface OwnGradient<S> {
  value(): tf.Tensor;
  /** Tensors that the gradient needs: they outlive the forward pass. */
  readonly save?: S;
  /** One gradient for each input, in order. */
  gradient(dy: tf.Tensor, saved: S): tf.Tensor[];
}

/** A function of `inputs` whose gradient is given, not derived: nothing inside `value` is recorded. */
export function withGradient<S extends tf.Tensor[] | [tf.Tensor]>(
  inputs: readonly tf.Tensor[],
  { value, save, gradient }: OwnGradient<S>,
): tf.Tensor {
  const f = tf.customGrad((...args) => {
    const keep = args.at(-1) as unknown as tf.GradSaveFunc;
    keep([...(save ?? [])]);
    return { value: value(), gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gradient(dy, saved as S) };
  });
  return f(...inputs);
}

/**
 * The value of a scalar function of named tensors, and its gradient with respect to each of them.
 * Every tensor must have a part in the value.
 *
 * @param scale a scalar by which the gradients (not the value) are multiplied
 */
export function valueAndGradsOf<R extends Record<string, tf.Tensor>>(
  at: R,
  f: (at: R) => tf.Tensor,
  scale?: tf.Tensor,
): { value: tf.Tensor; grads: R } {
  const names = Object.keys(at);
  const record = (tensors: tf.Tensor[]) =>
    Object.fromEntries(names.map((name, i) => [name, tensors[i]])) as R;
  const both = tf.valueAndGrads((...tensors: tf.Tensor[]) => f(record(tensors)) as tf.Scalar);
  const { value, grads } = both(Object.values(at), scale as tf.Scalar | undefined);
  return { value, grads: record(grads) };
}

/**
 * A scalar 0 whose gradient with respect to x is `gradient`: feeds what is known at x into the backward pass below x.
 */
export function injectGradient(x: tf.Tensor, gradient: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () => tf.scalar(0),
    save: [gradient],
    gradient: (dy, [g]) => [tf.mul(g, dy)],
  });
}

/**
 * The value of `q`, with the gradient passed on to `z` unchanged and none to `q`
 * (the straight-through estimator: van den Oord et al., arXiv 1711.00937, §3.1).
 */
export function straightThrough(z: tf.Tensor, q: tf.Tensor): tf.Tensor {
  return withGradient([z], { value: () => tf.clone(q), gradient: (dy) => [tf.clone(dy)] });
}

/** Mean of (x − target)² over all values; the target is a constant: gradient to x only. */
export function squaredErrorTo(x: tf.Tensor, target: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () => tf.mean(tf.square(tf.sub(x, target))),
    save: [x, target],
    gradient: (dy, [x, target]) => [tf.mul(tf.sub(x, target), tf.mul(dy, 2 / x.size))],
  });
}
