/** What devices of ONNX Runtime share: sessions of encoded models, and tensors on their way in and out. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { naming } from '../base/errors.js';
import { withScratch } from '../base/files.js';
import type { HostTensor } from '../base/tensor.js';
import { type EncodedModel, WEIGHTS } from './onnx.js';
import { inverse, isIdentity, permuteData, permuteShape } from './permute.js';
import { createSession, ort } from './runtime.js';
import type { Slot } from './trace.js';

export const runtimeVersion = `ONNX Runtime ${ort.env.versions.node ?? ort.env.versions.common}`;

/**
 * Large initializers reach the session through a file that it maps, one at a time: handed over in memory they would be
 * there four times (ours, the model's bytes, the parsed model, the packed tensor).
 */
export async function openSession(
  { model, weights }: EncodedModel,
  options: (folder?: string) => ort.InferenceSession.SessionOptions,
): Promise<ort.InferenceSession> {
  if (weights.length === 0) return createSession(model, options());
  return withScratch('weights', async (folder) => {
    await fs.writeFile(path.join(folder, WEIGHTS), weights);
    return createSession(model, options(folder));
  }).catch((error) => {
    throw naming(error, `${os.tmpdir()}, where weights wait for their session (TMPDIR names another place)`);
  });
}

/** What to do when memory runs out, in a step of training or in any other program. */
export const whenFull = {
  step: 'Compute a step in parts with --accumulate, or take a smaller batch or model.',
  graph: 'End other programs, or use a smaller model.',
};

/** @throws Error in a sentence when memory runs out, which ends with `advice` */
export async function runSession(
  session: ort.InferenceSession,
  feeds: Record<string, ort.Tensor>,
  o: { advice: string; fetches?: Record<string, ort.Tensor> },
): Promise<ort.InferenceSession.OnnxValueMapType> {
  try {
    return await (o.fetches ? session.run(feeds, o.fetches) : session.run(feeds));
  } catch (error) {
    const message = String((error as Error).message);
    if (!/bad_alloc|allocat|out.of.memory/i.test(message)) throw error;
    const bytes = /buffer of size (\d+)/.exec(message)?.[1];
    const wanted = bytes ? ` (${Math.ceil(Number(bytes) / 2 ** 20)} MB more were wanted)` : '';
    throw new Error(`Memory ran out${wanted}. ${o.advice}`, { cause: error });
  }
}

/** Ends the profile too, where there is one. */
export async function release(session: ort.InferenceSession): Promise<void> {
  session.endProfiling();
  await session.release();
}

/** V8's garbage collector, which Node hides unless asked: it is in no hurry over memory outside of its heap. */
export const collectGarbage: () => void = (() => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc'); // code is cached for the flags that it was compiled with
  return collect;
})();

export type Numbers = Float32Array | Int32Array;

export function toOrt(
  t: HostTensor,
  order?: { shape: readonly number[]; perm: readonly number[] },
): ort.Tensor {
  const data = order ? permuteData(t.data as Float32Array, order.shape, order.perm) : t.data;
  const shape = order ? permuteShape(order.shape, order.perm) : t.shape;
  return t.dtype === 'float32'
    ? new ort.Tensor('float32', data as Float32Array, shape)
    : new ort.Tensor('int32', data as unknown as Int32Array, shape);
}

export function hostTensor(data: Numbers, shape: readonly number[]): HostTensor {
  return { dtype: data instanceof Float32Array ? 'float32' : 'int32', shape: [...shape], data };
}

/** A copy in the program's order. */
export function fromOrt(t: ort.Tensor, { shape, perm }: Slot): HostTensor {
  const data = t.data as Numbers;
  const copy = isIdentity(perm) ? data.slice() : permuteData(data as Float32Array, t.dims, inverse(perm));
  return hostTensor(copy, shape);
}
