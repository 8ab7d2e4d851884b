/** Runs one function through ONNX Runtime and on TF.js' cpu backend and compares values and gradients. */
import * as tf from '@tensorflow/tfjs-core';
import '../../src/nn/kernel-gradients.js';
import { stream } from '../../src/base/rng.js';
import { float32, type HostTensor, type HostTensors, int32, sizeOf } from '../../src/base/tensor.js';
import { specsOfTensors, type Tensors } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { webgpuDevice } from '../../src/engine/webgpu-device.js';
import { expectClose } from './close.js';
import './cpu.js';

/** The CPU, or under `npm run test:gpu` whatever adapter answers. */
export const device =
  process.env.VQGEN_TEST_DEVICE === 'webgpu' ? webgpuDevice('under test') : onnxDevice({ threads: 1 });

/** Normal numbers, the same for the same key. */
export function noise(shape: readonly number[], key: string | number = 0, scale = 1): HostTensor {
  const rng = stream('noise', key);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => scale * rng.normal()),
  );
}

export function ids(shape: readonly number[], below: number, key: string | number = 0): HostTensor {
  const rng = stream('ids', key);
  return int32(
    shape,
    Int32Array.from({ length: sizeOf(shape) }, () => rng.below(below)),
  );
}

/** Value and gradients with respect to every float input, weighted by fixed upstream noise. */
function withGradients(fn: (inputs: Tensors) => tf.Tensor, differentiable: boolean) {
  return (inputs: Tensors): Tensors => {
    const value = fn(inputs);
    if (!differentiable) return { value };
    const names = Object.keys(inputs).filter((name) => inputs[name]!.dtype === 'float32' && name !== 'dy');
    const f = (...tensors: tf.Tensor[]) =>
      fn({ ...inputs, ...Object.fromEntries(names.map((name, i) => [name, tensors[i]!])) });
    const gradients = tf.grads(f)(
      names.map((name) => inputs[name]!),
      inputs.dy!,
    );
    return { value, ...Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]!])) };
  };
}

export interface ParityCase {
  readonly inputs: HostTensors;
  readonly fn: (inputs: Tensors) => tf.Tensor;
  readonly gradient?: boolean;
  readonly tolerance?: { atol?: number; rtol?: number };
}

export async function eager(inputs: HostTensors, fn: (inputs: Tensors) => Tensors): Promise<HostTensors> {
  await tf.setBackend('cpu');
  const results = tf.tidy(() =>
    fn(
      Object.fromEntries(
        Object.entries(inputs).map(([k, t]) => [k, tf.tensor(t.data, [...t.shape], t.dtype)]),
      ),
    ),
  );
  const host: HostTensors = {};
  for (const [name, tensor] of Object.entries(results)) {
    const data = tensor.dataSync();
    host[name] =
      tensor.dtype === 'float32'
        ? float32(tensor.shape, Float32Array.from(data))
        : int32(tensor.shape, Int32Array.from(data));
  }
  tf.dispose(results);
  return host;
}

export async function expectParity(
  name: string,
  { inputs, fn, gradient = true, tolerance }: ParityCase,
  on = device,
): Promise<void> {
  const [value] = Object.values(await eager(inputs, (x) => ({ value: tf.cast(fn(x), 'float32') })));
  const all = gradient ? { ...inputs, dy: noise(value!.shape, `dy ${name}`) } : inputs;
  const program = withGradients(fn, gradient);
  const cast = (x: Tensors) =>
    Object.fromEntries(
      Object.entries(program(x)).map(([k, t]) => [k, t.dtype === 'bool' ? tf.cast(t, 'int32') : t]),
    );
  const wanted = await eager(all, cast);
  const graph = await on.prepare({ name, inputs: specsOfTensors(all), constants: {}, run: cast });
  const actual = await graph.run(all);
  await graph.dispose();
  expect(Object.keys(actual)).toEqual(Object.keys(wanted));
  for (const key of Object.keys(wanted)) {
    try {
      expectClose(actual[key]!, wanted[key]!, { atol: 1e-5, rtol: 1e-4, ...tolerance });
    } catch (cause) {
      throw new Error(`${name}: ${key}: ${(cause as Error).message}`);
    }
  }
}
