/**
 * Tensors on the GPU. ONNX Runtime never frees one that was not disposed of, so each has one owner here, and the
 * living ones are counted. Numbers come and go through sessions of one Identity: `getData()` of a GPU tensor ends the
 * process.
 */
import { must } from '../base/lookup.js';
import type { ProgramPrecision } from './device.js';
import type { OnnxType } from './graph.js';
import { separateCopies } from './half.js';
import { encodeModel, type Port } from './onnx.js';
import { createSession, type ort } from './runtime.js';

/** GPU tensors that nobody disposed of yet; a test finds a forgotten one here. */
export let livingGpuTensors = 0;

/** One buffer on the GPU with one owner. */
export class GpuTensor {
  private living = true;

  constructor(readonly value: ort.Tensor) {
    if (value.location !== 'gpu-buffer')
      throw new Error(`internal: a tensor [${value.dims}] lies on the ${value.location}`);
    livingGpuTensors += 1;
  }

  dispose(): void {
    if (!this.living) return;
    this.living = false;
    livingGpuTensors -= 1;
    this.value.dispose();
  }
}

/** @throws Error of the provider where no adapter answers */
export function gpuOptions({
  folder,
  onDevice,
  precision,
}: {
  folder?: string;
  onDevice?: boolean;
  precision?: ProgramPrecision;
} = {}): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: [{ name: 'webgpu', preferredLayout: 'NCHW' }],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4, // an error is thrown; 3 would print it too
    ...(onDevice && { preferredOutputLocation: 'gpu-buffer' }),
    extra: {
      session: {
        disable_cpu_ep_fallback: '1',
        ...(precision === 'f16' && separateCopies),
        ...(folder && { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}

type Way = 'up' | 'down';

/** Copies between host and GPU, for tensors of any shape; one session for each type and rank and way. */
export class Transfers {
  private readonly sessions = new Map<string, Promise<ort.InferenceSession>>();

  async upload(tensor: ort.Tensor): Promise<GpuTensor> {
    return new GpuTensor(await this.copy('up', tensor));
  }

  /** A copy on the host, which needs no disposal. */
  download({ value }: GpuTensor): Promise<ort.Tensor> {
    return this.copy('down', value);
  }

  async dispose(): Promise<void> {
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of sessions) await (await session).release();
  }

  private async copy(way: Way, x: ort.Tensor): Promise<ort.Tensor> {
    const session = await this.session(way, x);
    return must((await session.run({ x })).y, 'copy');
  }

  private session(way: Way, { type, dims }: ort.Tensor): Promise<ort.InferenceSession> {
    const key = `${way} ${type} ${dims.length}`;
    const known = this.sessions.get(key);
    if (known) return known;
    const shape = dims.map((_, axis) => `n${axis}`);
    const at = (name: string): Port => ({ name, type: type as OnnxType, shape });
    const { model } = encodeModel({
      name: 'transfer',
      nodes: [{ op: 'Identity', domain: '', inputs: ['x'], outputs: ['y'], attrs: {} }],
      initializers: [],
      inputs: [at('x')],
      outputs: [at('y')],
    });
    const session = createSession(model, gpuOptions({ onDevice: way === 'up' }));
    this.sessions.set(key, session);
    return session;
  }
}
