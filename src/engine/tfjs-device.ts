/**
 * The same programs eagerly, on whatever TF.js backend is there: the native GPU one when installed, else plain
 * JavaScript.
 */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { inPackage } from '../base/root.js';
import type { HostTensor, HostTensors } from '../base/tensor.js';
import {
  checkTensors,
  type Device,
  type Graph,
  type GraphProgram,
  type Named,
  type ProgramPrecision,
  type StepProgram,
  type StepRunner,
  type Tensors,
} from './device.js';

export async function tfjsDevice(reporter: Reporter): Promise<Device> {
  const backend = await chooseBackend(reporter);
  return {
    name: 'tfjs',
    description: `TF.js ${tf.version_core}, ${backend} backend`,
    prepare: async (program) => new EagerGraph(inFloat32(program), backend),
    prepareStep: async (program) =>
      new EagerStepRunner(inFloat32(program, program.precision === 'int8' ? 'cpu' : undefined), backend),
  };
}

/** @throws UserError for a program that asks for anything else */
function inFloat32<P extends { readonly precision?: ProgramPrecision }>(
  program: P,
  devices = 'cpu or webgpu',
): P {
  const { precision = 'f32' } = program;
  if (precision === 'f32') return program;
  const [bits] = precision.split(' ');
  const what = bits === 'int8' ? '8-bit products need' : 'Mixed precision needs';
  throw expected('f32', '--precision', bits, `${what} --device ${devices}.`);
}

async function chooseBackend(reporter: Reporter): Promise<string> {
  tf.env().set('PROD', true);
  const native: string = '@tensorflow/tfjs-node-gpu';
  let why = `: ${native} is installed but brings no backend`;
  try {
    createRequire(inPackage('package.json'))(native);
    if (tf.findBackend('tensorflow')) return 'tensorflow';
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const missing = code.endsWith('MODULE_NOT_FOUND') && message.includes(`'${native}'`);
    why = missing
      ? `; npm install ${native} for an NVIDIA GPU`
      : `: ${native} is installed but fails (${message.split('\n')[0]})`;
  }
  await import('@tensorflow/tfjs-backend-cpu');
  reporter.warn(`--device tfjs runs on the plain JavaScript backend, which is slow${why}.`);
  return 'cpu';
}

function toTensors(values: HostTensors): Tensors {
  return Object.fromEntries(
    Object.entries(values).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape], t.dtype)]),
  );
}

async function toHost(tensor: tf.Tensor): Promise<HostTensor> {
  const data = (await tensor.data()) as Float32Array | Int32Array;
  return {
    dtype: data instanceof Float32Array ? 'float32' : 'int32',
    shape: tensor.shape,
    data: data.slice(),
  };
}

async function takeHost(tensors: Tensors): Promise<HostTensors> {
  const values: HostTensors = {};
  for (const [name, tensor] of Object.entries(tensors)) values[name] = await toHost(tensor);
  tf.dispose(tensors);
  return values;
}

/** TF.js' plain backend computes without a pause: between runs the process must hear Ctrl-C. */
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class EagerGraph<In extends string, Out extends string> implements Graph<In, Out> {
  private constants: Tensors | undefined;

  constructor(
    private readonly program: GraphProgram<In, Out>,
    private readonly backend: string,
  ) {}

  async run(inputs: Named<In, HostTensor>): Promise<Named<Out, HostTensor>> {
    checkTensors(`inputs of ${this.program.name}`, this.program.inputs, inputs);
    await pause();
    await tf.setBackend(this.backend);
    this.constants ??= toTensors(this.program.constants);
    const constants = this.constants;
    const outputs = tf.tidy(() => owned(this.program.run(toTensors(inputs) as Named<In>, constants)));
    return (await takeHost(outputs)) as Named<Out, HostTensor>;
  }

  async dispose(): Promise<void> {
    if (this.constants) tf.dispose(this.constants);
    this.constants = undefined;
  }
}

/** Copies handles, so that a result that is an input or constant can be disposed of on its own. */
function owned(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, tf.clone(tensor)]));
}

class EagerStepRunner implements StepRunner {
  private state: Tensors | undefined;
  private constants: Tensors | undefined;

  constructor(
    private readonly program: StepProgram,
    private readonly backend: string,
  ) {}

  load(state: HostTensors): void {
    checkTensors(`state of ${this.program.name}`, this.program.state, state);
    if (this.state) tf.dispose(this.state);
    void tf.setBackend(this.backend);
    this.state = toTensors(state);
  }

  async run(steps: readonly HostTensors[]): Promise<HostTensors[]> {
    const results: HostTensors[] = [];
    for (const inputs of steps) {
      checkTensors(`inputs of ${this.program.name}`, this.program.inputs, inputs);
      if (!this.state) throw new Error(`internal: ${this.program.name} runs before its state is loaded`);
      await pause();
      await tf.setBackend(this.backend);
      this.constants ??= toTensors(this.program.constants);
      const before = this.state;
      const constants = this.constants;
      const { state, outputs } = tf.tidy(() => {
        const result = this.program.step(before, toTensors(inputs), constants);
        return { state: owned(result.state), outputs: owned(result.outputs) };
      });
      tf.dispose(before);
      this.state = state;
      results.push(await takeHost(outputs));
    }
    return results;
  }

  async read(): Promise<HostTensors> {
    if (!this.state) throw new Error(`internal: ${this.program.name} is read before its state is loaded`);
    const values: HostTensors = {};
    for (const [name, tensor] of Object.entries(this.state)) values[name] = await toHost(tensor);
    return values;
  }

  async dispose(): Promise<void> {
    if (this.state) tf.dispose(this.state);
    if (this.constants) tf.dispose(this.constants);
    this.constants = undefined;
    this.state = undefined;
  }
}
