/**
 * Gradient accumulation: the batch of an optimiser step computed as N micro-batches one after another, so that memory
 * holds the activations of one of them. One run of a step's program is then one micro-batch: it adds to sums, and
 * where the input `last` is 1 the optimiser acts on them. The sums are state like any other to a device, under
 * `partial.…`; no checkpoint holds them, as none is written in the middle of a step. With N = 1 a program has no trace
 * of all this.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, picked } from '../base/lookup.js';
import { float32, type HostTensor, type HostTensors, scalar, sizeOf } from '../base/tensor.js';
import type { Specs, StepProgram, StepRunner, Tensors } from '../engine/device.js';
import { over } from '../nn/params.js';

/** The name, in a step's state, of what its micro-batches hand on to each other. */
export const partial = (name: string): string => `partial.${name}`;

export interface Accumulation {
  /** Scalars `first` and `last`: 1 at the first and the last micro-batch of a step, else 0. */
  readonly inputs: Specs;
  /** The sums that the gradients of these parameters need. */
  sums(group: string, params: Specs): Specs;
  /**
   * Gradients of means over the step's micro-batches so far (at the last one: over the batch), and the sums to keep.
   */
  add(
    group: string,
    grads: Tensors,
    state: Tensors,
    inputs: Tensors,
  ): { readonly grads: Tensors; readonly state: Tensors };
}

/**
 * @param n micro-batches of a step
 * @param clears whether sums are 0 behind a step: one that is not finite would otherwise stay so
 */
export function accumulation(n: number, clears = false): Accumulation {
  if (n === 1) return { inputs: {}, sums: () => ({}), add: (_, grads) => ({ grads, state: {} }) };
  const flag = { shape: [], dtype: 'float32' } as const;
  const named = <T>(group: string, record: Record<string, T>) => over(partial(group), record);
  return {
    inputs: { first: flag, last: flag },
    sums: named,
    add(group, grads, state, inputs) {
      const { first, last } = picked(inputs, ['first', 'last']);
      const mean: Tensors = {};
      for (const [name, grad] of Object.entries(grads))
        mean[name] = sumOf(entry(state, partial(`${group}.${name}`)), tf.mul(grad, 1 / n), first);
      const kept = (sum: tf.Tensor) => (clears ? tf.where(tf.greater(last, 0), tf.zerosLike(sum), sum) : sum);
      const sums = Object.fromEntries(Object.entries(mean).map(([name, sum]) => [name, kept(sum)]));
      return { grads: mean, state: named(group, sums) };
    },
  };
}

/** The sum over a step's micro-batches so far: `sum` of those before, which counts for nothing at the first. */
export function sumOf(sum: tf.Tensor, fresh: tf.Tensor, first: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(sum, tf.sub(1, first)), fresh);
}

/**
 * The entries of one optimiser step, in order: of `batched` each has its share of the rows, of `common` all.
 *
 * @param batched [B, …], B a multiple of n
 */
export function microBatches(n: number, batched: HostTensors, common: HostTensors): HostTensors[] {
  if (n === 1) return [{ ...batched, ...common }];
  return Array.from({ length: n }, (_, i) => ({
    ...Object.fromEntries(Object.entries(batched).map(([name, t]) => [name, share(t, i, n)])),
    ...common,
    first: scalar(i === 0 ? 1 : 0),
    last: scalar(i === n - 1 ? 1 : 0),
  }));
}

/** A view. */
function share({ dtype, shape, data }: HostTensor, i: number, n: number): HostTensor {
  const size = data.length / n;
  const [rows, ...row] = shape as [number, ...number[]];
  return { dtype, shape: [rows / n, ...row], data: data.subarray(i * size, (i + 1) * size) };
}

/** The runner of a program, whose `load` and `read` (between optimiser steps) know nothing of sums. */
export function withoutPartial(program: StepProgram, runner: StepRunner): StepRunner {
  const sums = Object.entries(program.state).filter(([name]) => name.startsWith(partial('')));
  if (sums.length === 0) return runner;
  const names = new Set(sums.map(([name]) => name));
  const zeros = () =>
    Object.fromEntries(
      sums.map(([name, { shape }]) => [name, float32(shape, new Float32Array(sizeOf(shape)))]),
    );
  return {
    load: (state) => runner.load({ ...state, ...zeros() }),
    run: (steps) => runner.run(steps),
    read: async () =>
      Object.fromEntries(Object.entries(await runner.read()).filter(([name]) => !names.has(name))),
    dispose: () => runner.dispose(),
  };
}

/** Means of a step's scalars over its micro-batches. @param outputs of each of them */
export function meanOf(outputs: readonly HostTensors[], name: string): number | undefined {
  const values = outputs.map((output) => output[name]?.data[0]);
  return values.some((value) => value === undefined)
    ? undefined
    : (values as number[]).reduce((sum, value) => sum + value, 0) / values.length;
}
