/**
 * ONNX Runtime's WebGPU provider: any GPU with a Vulkan, Metal or Direct3D 12 driver. One plain graph per step; the
 * state stays on the GPU in two sets of buffers that swap; nothing but a run's outputs comes back. No operator may
 * fall back to the CPU: a graph that holds one that has no GPU kernel is refused when it is prepared.
 */
import { expected } from '../base/errors.js';
import { must, picked } from '../base/lookup.js';
import { float32, type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import { type CompiledStep, compileGraph, compileStep } from './compile.js';
import {
  checkTensors,
  type Device,
  type ProgramPrecision,
  type StepProgram,
  type StepRunner,
} from './device.js';
import { type GpuTensor, gpuOptions, Transfers } from './gpu-tensors.js';
import type { Node } from './graph.js';
import { GraphRunner } from './graph-runner.js';
import { type EncodedModel, encodeModel, type Port } from './onnx.js';
import type { StateBuffer } from './pack.js';
import type { ort } from './runtime.js';
import { fromOrt, openSession, release, runSession, runtimeVersion, toOrt, whenFull } from './sessions.js';
import { filled, membersOf } from './state-buffers.js';
import { webgpuTarget } from './target.js';
import type { Slot } from './trace.js';

/** @param adapter the GPU's name, for people */
export function webgpuDevice(adapter: string): Device {
  const open = (model: EncodedModel, precision?: ProgramPrecision) =>
    openSession(model, (folder) => gpuOptions({ folder, precision }));
  return {
    name: 'webgpu',
    keepsState: true,
    description: `${runtimeVersion}, WebGPU, ${adapter}`,
    prepare: async (program) => {
      if (program.precision === 'f16') await refuseWithoutFloat16(adapter);
      const { model, ...slots } = await compileGraph(program, webgpuTarget);
      return new GraphRunner(program, await open(model, program.precision), slots);
    },
    prepareStep: async (program) => {
      if (program.precision === 'int8') {
        const next = 'Training in 8 bits needs --device cpu.';
        throw expected('f32 or f16', '--precision', 'int8', next);
      }
      if (program.precision === 'f16') await refuseWithoutFloat16(adapter);
      const { model, ...compiled } = await compileStep(program, { loopBelow: 0, target: webgpuTarget });
      const { name, state, inputs, precision } = program; // not its constants, which are in the session
      return new GpuStepRunner({ name, state, inputs }, await open(model, precision), compiled);
    },
  };
}

/**
 * @throws UserError where the adapter has no float16 (WebGPU's feature shader-f16), which ONNX Runtime tells when it
 * runs a graph
 */
async function refuseWithoutFloat16(adapter: string): Promise<void> {
  const cast = (from: string, to: string, type: number): Node => ({
    ...{ op: 'Cast', domain: '', inputs: [from], outputs: [to], attrs: { to: type } },
  });
  const at = (name: string): Port => ({ name, type: 'float32', shape: [1] });
  const nodes = [cast('x', 'half', 10), cast('half', 'y', 1)];
  const graph = { name: 'float16', nodes, initializers: [], inputs: [at('x')], outputs: [at('y')] };
  const session = await openSession(encodeModel(graph), () => gpuOptions());
  try {
    await session.run({ x: toOrt(float32([1])) });
  } catch (cause) {
    if (!/f16/.test(String(cause))) throw cause;
    const next = 'Leave --precision out, or take --device cpu.';
    throw expected(
      'f32',
      '--precision',
      `f16, which ${adapter} cannot compute in (no shader-f16)`,
      next,
      cause,
    );
  } finally {
    await release(session);
  }
}

type GpuTensors = Record<string, GpuTensor>;

const disposeAll = (tensors: GpuTensors): void => {
  for (const tensor of Object.values(tensors)) tensor.dispose();
};

class GpuStepRunner implements StepRunner {
  private released: Promise<void> | undefined;
  private readonly transfers = new Transfers();
  /** On its way to the GPU until the next run or read. */
  private loaded: HostTensors | undefined;
  private state: GpuTensors | undefined;
  /** The other set of buffers, into which a step writes. */
  private spare: GpuTensors = {};
  /** Tensors for the outputs of as many steps as a run ever had. */
  private readonly resting: GpuTensors[] = [];

  constructor(
    private readonly program: Pick<StepProgram, 'name' | 'state' | 'inputs'>,
    private readonly session: ort.InferenceSession,
    private readonly compiled: Omit<CompiledStep, 'model'>,
  ) {}

  load(state: HostTensors): void {
    checkTensors(`state of ${this.program.name}`, this.program.state, state);
    this.loaded = { ...state };
  }

  async run(steps: readonly HostTensors[]): Promise<HostTensors[]> {
    for (const inputs of steps) checkTensors(`inputs of ${this.program.name}`, this.program.inputs, inputs);
    let state = await this.current('runs');
    const results: GpuTensors[] = [];
    try {
      for (const inputs of steps) {
        results.push(await this.runOne(state, inputs));
        [state, this.spare] = [this.spare, state];
        this.state = state;
      }
      return await Promise.all(results.map((outputs) => this.download(this.compiled.outputs, outputs)));
    } finally {
      this.resting.push(...results);
    }
  }

  /** Enqueues one step from `state` into the spare set; its outputs stay on the GPU. */
  private async runOne(state: GpuTensors, inputs: HostTensors): Promise<GpuTensors> {
    const outputs = this.resting.pop() ?? (await this.forOutputs());
    const feeds: Record<string, ort.Tensor> = {};
    const fetches: Record<string, ort.Tensor> = {};
    for (const { name } of this.compiled.buffers) {
      feeds[`state/${name}`] = must(state[name], name).value;
      fetches[`final/${name}`] = must(this.spare[name], name).value;
    }
    for (const { name, value } of this.compiled.inputs) feeds[value.name] = toOrt(must(inputs[name], name));
    for (const { name } of this.compiled.outputs) fetches[`result/${name}`] = must(outputs[name], name).value;
    const written = await runSession(this.session, feeds, { advice: whenFull.step, fetches });
    for (const tensor of Object.values(written)) tensor.dispose(); // second names of buffers that have owners
    return outputs;
  }

  async read(): Promise<HostTensors> {
    const state = await this.current('is read');
    const host: HostTensors = {};
    for (const { name, members } of this.compiled.buffers) {
      const whole = await this.transfers.download(must(state[name], name));
      Object.assign(host, membersOf(whole, members));
    }
    return picked(
      host,
      this.compiled.state.map(({ name }) => name),
    );
  }

  async dispose(): Promise<void> {
    this.loaded = undefined;
    disposeAll(this.state ?? {});
    for (const tensors of [this.spare, ...this.resting.splice(0)]) disposeAll(tensors);
    this.state = undefined;
    this.spare = {};
    this.released ??= release(this.session).then(() => this.transfers.dispose());
    await this.released;
  }

  /** The state on the GPU; what `load` was given goes there now. */
  private async current(what: string): Promise<GpuTensors> {
    const { loaded } = this;
    if (loaded) {
      this.loaded = undefined;
      disposeAll(this.state ?? {});
      this.state = await this.uploaded((buffer) => filled(buffer, loaded));
      if (Object.keys(this.spare).length === 0)
        this.spare = await this.uploaded(({ shape }) => toOrt(float32(shape)));
    }
    if (!this.state) throw new Error(`internal: ${this.program.name} ${what} before its state is loaded`);
    return this.state;
  }

  private uploaded(of: (buffer: StateBuffer) => ort.Tensor): Promise<GpuTensors> {
    return this.uploadAll(this.compiled.buffers, of);
  }

  private forOutputs(): Promise<GpuTensors> {
    return this.uploadAll(this.compiled.outputs, (slot) => toOrt(zeros(slot)));
  }

  /** All or, where memory ends, none. */
  private async uploadAll<T extends { readonly name: string }>(
    those: readonly T[],
    of: (one: T) => ort.Tensor,
  ): Promise<GpuTensors> {
    const tensors: GpuTensors = {};
    try {
      for (const one of those) tensors[one.name] = await this.transfers.upload(of(one));
      return tensors;
    } catch (error) {
      disposeAll(tensors);
      throw error;
    }
  }

  private async download(slots: readonly Slot[], tensors: GpuTensors): Promise<HostTensors> {
    const host: HostTensors = {};
    for (const slot of slots)
      host[slot.name] = fromOrt(await this.transfers.download(must(tensors[slot.name], slot.name)), slot);
    return host;
  }
}

function zeros({ shape, value }: Slot): HostTensor {
  return value.type === 'int32'
    ? { dtype: 'int32', shape, data: new Int32Array(sizeOf(shape)) }
    : { dtype: 'float32', shape, data: new Float32Array(sizeOf(shape)) };
}
