/** How a kernel is written: from symbolic inputs and TF.js' attributes to the tensors it hands back. */
import * as tf from '@tensorflow/tfjs-core';
import { must } from '../../base/lookup.js';
import { type Sym, TRACER, type Tracer } from '../tracer.js';

/** Inputs that every call of a kernel has, and others that some have. */
type Inputs<In extends string> = Readonly<Record<string, Sym | undefined> & Record<In, Sym>>;

/**
 * @param inputs names of the inputs without which there is no call
 * @param lower given the attributes that TF.js hands this kernel
 */
export function kernel<In extends string, A>(
  name: string,
  inputs: readonly In[],
  lower: (t: Tracer, inputs: Inputs<In>, attrs: A) => tf.TensorInfo | tf.TensorInfo[],
): void {
  register<A>(name, (t, syms, attrs) => {
    for (const input of inputs) must(syms[input], `input ${input} of ${name}`);
    return lower(t, syms as Inputs<In>, attrs);
  });
}

/** A kernel of a list of tensors, at least one. */
export function kernelOfMany<A>(
  name: string,
  lower: (t: Tracer, inputs: readonly [Sym, ...Sym[]], attrs: A) => tf.TensorInfo | tf.TensorInfo[],
): void {
  register<A>(name, (t, syms, attrs) => {
    const [first, ...others] = Object.values(syms);
    return lower(t, [must(first, `input of ${name}`), ...others], attrs);
  });
}

/** A kernel that stays in float32 where the program's precision is lower. */
export const kernelInFloat32: typeof kernel = (name, required, lower) =>
  kernel(name, required, (t, inputs, attrs: Parameters<typeof lower>[2]) =>
    t.graph.inFloat32(() => lower(t, inputs, attrs)),
  );

function register<A>(
  name: string,
  lower: (t: Tracer, inputs: Record<string, Sym>, attrs: A) => tf.TensorInfo | tf.TensorInfo[],
): void {
  tf.registerKernel({
    kernelName: name,
    backendName: TRACER,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const t = backend as Tracer;
      const syms: Record<string, Sym> = {};
      for (const [key, info] of Object.entries(inputs)) if (info) syms[key] = t.sym(info as tf.TensorInfo);
      return lower(t, syms, attrs as A);
    },
  });
}
