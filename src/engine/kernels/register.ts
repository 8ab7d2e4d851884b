/** How a kernel is written: from symbolic inputs and TF.js' attributes to the tensors it hands back. */
import * as tf from '@tensorflow/tfjs-core';
import { type Sym, TRACER, type Tracer } from '../tracer.js';

export interface KernelCall<A> {
  readonly t: Tracer;
  readonly inputs: Record<string, Sym>;
  readonly attrs: A;
}

// biome-ignore lint/suspicious/noExplicitAny: each kernel states the attributes that TF.js hands it
export function kernel<A = any>(
  name: string,
  lower: (call: KernelCall<A>) => tf.TensorInfo | tf.TensorInfo[],
): void {
  tf.registerKernel({
    kernelName: name,
    backendName: TRACER,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const t = backend as Tracer;
      const syms: Record<string, Sym> = {};
      for (const [key, info] of Object.entries(inputs)) if (info) syms[key] = t.sym(info as tf.TensorInfo);
      return lower({ t, inputs: syms, attrs: attrs as A });
    },
  });
}

/** A kernel that stays in float32 where the program's precision is lower. */
export const kernelInFloat32: typeof kernel = (name, lower) =>
  kernel(name, (call) => call.t.graph.inFloat32(() => lower(call as never)));
