/**
 * What the rest of vqgen sees of the engine: programs (plain TF.js functions over named tensors, written once)
 * and devices that run them. A device knows no model; a program knows no device.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { DType, HostTensor, HostTensors } from '../base/tensor.js';

export interface TensorSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}
export type Specs = Record<string, TensorSpec>;

export interface InputSpec extends TensorSpec {
  /**
   * Axes whose length each run chooses, by a name that axes of equal length share; `shape` has the length to trace
   * with. No output's shape may depend on it, nor may the program read it.
   */
  readonly free?: Readonly<Record<number, string>>;
}
/** Of any number of rows. */
export const freeBatch = (spec: InputSpec): InputSpec => ({ ...spec, free: { 0: 'batch' } });

export type Tensors = Record<string, Tensor>;

/**
 * What a program computes in beside float32. `int8`: products with a constant right factor take both factors as 8-bit
 * integers, in blocks along the summed axis with a scale each; such a product reads a quarter of the bytes, which is
 * what one of few rows waits for. `f16`: convolutions, products and what lies between them are in float16; what enters
 * and leaves a program stays float32.
 */
export const precisions = ['f32', 'int8', 'f16'] as const;
export type Precision = (typeof precisions)[number];

/**
 * `int8 by rows`: `int8` with one scale for each row of the left factor and each column of the right one, coarser, and
 * faster for many rows; as `int8` on devices that have no products of bytes.
 */
export type ProgramPrecision = Precision | 'int8 by rows';

/** Tensors among which those of the names `K` are. */
export type Named<K extends string, T = Tensor> = Record<string, T> & Record<K, T>;

/**
 * A pure function over tensors: no host reads, no host randomness, shapes fixed but for free axes. Its type names
 * inputs and outputs that it has whatever it is made for.
 */
export interface GraphProgram<In extends string = never, Out extends string = never> {
  readonly name: string;
  readonly inputs: Named<In, InputSpec>;
  /** Frozen values (weights of a finished network): the device may fold and pre-pack them. */
  readonly constants: HostTensors;
  /** `f32` unless given; a device that has no other refuses. */
  readonly precision?: ProgramPrecision;
  run(inputs: Named<In>, constants: Tensors): Named<Out>;
}

/** One training step: state in, state out, plus small outputs (losses, codes) that the host reads. */
export interface StepProgram {
  readonly name: string;
  /** Learned values, optimiser moments, averages: what a step replaces. */
  readonly state: Specs;
  /** Fresh at every step: images, learning rate, noise. */
  readonly inputs: Specs;
  readonly constants: HostTensors;
  /** As of a `GraphProgram`; `int8`: it asks for products of bytes by name, which must be exact. */
  readonly precision?: Precision;
  /** Must return every name of `state` with its shape. */
  step(state: Tensors, inputs: Tensors, constants: Tensors): { state: Tensors; outputs: Tensors };
}

export interface Graph<In extends string = never, Out extends string = never> {
  run(inputs: Named<In, HostTensor>): Promise<Named<Out, HostTensor>>;
  dispose(): Promise<void>;
}

export interface StepRunner {
  /** Sets the state; strict: exactly the program's names and shapes. */
  load(state: HostTensors): void;
  /**
   * Runs `steps.length` steps, one entry of inputs each, and returns each step's outputs.
   * How many steps share one call changes no bit of the result.
   */
  run(steps: readonly HostTensors[]): Promise<HostTensors[]>;
  /** The state after the last step. The arrays are the caller's to keep. */
  read(): Promise<HostTensors>;
  dispose(): Promise<void>;
}

export interface Device {
  readonly name: 'cpu' | 'webgpu' | 'tfjs';
  /** For people: `ONNX Runtime 1.30, CPU, 2 threads`. */
  readonly description: string;
  /** Whether a step's state stays on the device, far from the host: what many calls use belongs there. */
  readonly keepsState?: true;
  prepare<In extends string, Out extends string>(program: GraphProgram<In, Out>): Promise<Graph<In, Out>>;
  prepareStep(program: StepProgram): Promise<StepRunner>;
}

export function specsOfTensors(tensors: HostTensors): Specs {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [name, { shape: t.shape, dtype: t.dtype }]),
  );
}

/** @throws Error naming the first tensor that is missing, left over or of another shape or type */
export function checkTensors(
  what: string,
  specs: Record<string, InputSpec>,
  tensors: Record<string, Pick<HostTensor, 'shape' | 'dtype'>>,
): void {
  for (const [name, spec] of Object.entries(specs)) {
    const t = tensors[name];
    if (!t) throw new Error(`internal: ${what}: ${name} is missing`);
    const { free = {} } = spec;
    const shape = t.shape.map((n, axis) => (axis in free ? spec.shape[axis] : n));
    if (t.dtype !== spec.dtype || shape.join() !== spec.shape.join()) {
      throw new Error(
        `internal: ${what}: ${name} is ${t.dtype} [${t.shape}] where ${spec.dtype} [${spec.shape}] is expected`,
      );
    }
  }
  const extra = Object.keys(tensors).find((name) => !(name in specs));
  if (extra) throw new Error(`internal: ${what}: ${extra} has no place`);
}
