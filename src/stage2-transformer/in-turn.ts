/**
 * A batch's gradients from parts of it in turn, within one program, so that memory holds the activations of one part:
 * the gradients of each are added up before the next begins.
 */
import * as tf from '@tensorflow/tfjs-core';
import { entry, nth } from '../base/lookup.js';
import type { Specs, Tensors } from '../engine/device.js';

/** Means over a part of a batch: losses by names, gradients of one of them. */
export interface Means {
  readonly losses: Tensors;
  readonly grads: Tensors;
}

/** Names of the inputs of which each part of a batch has its share. @param part inputs of a part, `whole` of all */
export const sharedOf = (whole: Specs, part: Specs): string[] =>
  Object.keys(whole).filter((name) => entry(whole, name).shape[0] !== entry(part, name).shape[0]);

/**
 * Means over the batch.
 *
 * @param shared names of inputs [B, …], B a multiple of n; every part has all of the others
 * @param f of a part, to which it must treat each row by itself; reads a shared input that is int32
 */
export function inTurn(
  n: number,
  inputs: Tensors,
  shared: readonly string[],
  f: (part: Tensors) => Means,
): Means {
  if (n === 1) return f(inputs);
  const pieces = Object.fromEntries(shared.map((name) => [name, tf.split(entry(inputs, name), n)]));
  const share = (i: number): Tensors =>
    Object.fromEntries(Object.entries(pieces).map(([name, parts]) => [name, nth(parts, i)]));
  let sums = f({ ...inputs, ...share(0) });
  for (let i = 1; i < n; i++) {
    const { losses, grads } = f({ ...inputs, ...after(sums.grads, share(i)) });
    sums = { losses: added(sums.losses, losses), grads: added(sums.grads, grads) };
  }
  const mean = (sum: tf.Tensor) => tf.mul(sum, 1 / n);
  return { losses: mapped(sums.losses, mean), grads: mapped(sums.grads, mean) };
}

/** `part` as it is, with whole numbers that cannot be known before `grads`: each is 0 more, by a look at all of them. */
function after(grads: Tensors, part: Tensors): Tensors {
  const firsts = Object.values(grads).map((grad) => tf.slice(tf.reshape(grad, [-1]), 0, 1));
  const never = tf.greater(tf.concat(firsts), Number.POSITIVE_INFINITY); // not even infinity is
  const zero = tf.cast(tf.max(tf.cast(never, 'float32')), 'int32');
  return mapped(part, (t) => (t.dtype === 'int32' ? tf.add(t, zero) : t));
}

const added = (sums: Tensors, more: Tensors): Tensors =>
  mapped(sums, (sum, name) => tf.add(sum, entry(more, name)));

const mapped = (tensors: Tensors, f: (t: tf.Tensor, name: string) => tf.Tensor): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, f(t, name)]));
