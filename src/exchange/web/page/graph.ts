/** Exported files in a browser, as vqgen's own code runs graphs: by ONNX Runtime Web, on WebGPU or the CPU. */
import type * as Ort from 'onnxruntime-web';
import { type HostTensor, type HostTensors, int32 } from '../../../base/tensor.js';
import type { Graph } from '../../../engine/device.js';
import type { Compute } from './messages.js';

export type Runtime = typeof Ort;

/** @param folder address of ONNX Runtime's files, with a `/` at its end */
export async function loadRuntime(folder: string): Promise<Runtime> {
  const ort: Runtime = await import(`${folder}ort.webgpu.min.js`);
  const build = `${folder}ort-wasm-simd-threaded.asyncify`;
  ort.env.wasm.wasmPaths = { mjs: `${build}.js`, wasm: `${build}.wasm` };
  ort.env.wasm.proxy = false;
  ort.env.logLevel = 'error'; // it warns of operators that run on the CPU beside a GPU, as they should
  // Threads share memory, which a browser allows where the server isolates the page.
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated
    ? Math.min(8, Math.ceil(navigator.hardwareConcurrency / 2))
    : 1;
  return ort;
}

/**
 * Its tensors are int64 at the border where vqgen has int32.
 *
 * @param o.kept an output that goes in again at the next run: on a GPU it stays there
 */
export async function openGraph(
  ort: Runtime,
  file: Uint8Array,
  { compute, kept }: { readonly compute: Compute; readonly kept?: string },
): Promise<Graph> {
  const session = await ort.InferenceSession.create(file, {
    executionProviders: [compute],
    ...(compute === 'webgpu' && kept && { preferredOutputLocation: { [kept]: 'gpu-buffer' } }),
  });
  const onGpu = new WeakMap<HostTensor, Ort.Tensor>();
  let last: Ort.Tensor[] = [];
  return {
    async run(inputs) {
      const feeds = Object.entries(inputs).map(([name, t]) => [name, onGpu.get(t) ?? toFile(ort, t)]);
      const results = await session.run(Object.fromEntries(feeds));
      for (const tensor of last) tensor.dispose();
      last = [];
      const outputs: HostTensors = {};
      for (const [name, tensor] of Object.entries(results)) {
        if (tensor.location !== 'gpu-buffer') outputs[name] = fromFile(tensor);
        else {
          const stays: HostTensor = { dtype: 'float32', shape: tensor.dims, data: new Float32Array() };
          onGpu.set(stays, tensor);
          last.push(tensor);
          outputs[name] = stays;
        }
      }
      await breath();
      return outputs;
    },
    dispose: () => session.release(),
  };
}

function toFile(ort: Runtime, { dtype, shape, data }: HostTensor): Ort.Tensor {
  if (dtype === 'float32') return new ort.Tensor('float32', data as Float32Array, shape);
  return new ort.Tensor('int64', BigInt64Array.from(data as Int32Array, BigInt), shape);
}

function fromFile({ type, data, dims }: Ort.Tensor): HostTensor {
  if (type === 'float32') return { dtype: 'float32', shape: dims, data: data as Float32Array };
  return int32(dims, Int32Array.from(data as BigInt64Array, Number));
}

/** Lets messages in, such as one that cancels. */
function breath(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}
