/** Runs a program once under the tracing backend and returns the graph it wrote. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../base/tensor.js';
import type { Specs, Tensors } from './device.js';
import { fuseBias } from './fuse-bias.js';
import type { GraphBuilder, Value } from './graph.js';
import { inHalfPrecision } from './half.js';
import { identity, permuteShape } from './permute.js';
import { filterOrder, type Lowering, onnxType, TRACER, Tracer } from './tracer.js';
import './kernels/index.js';

tf.registerBackend(TRACER, () => new Tracer(), 0);

/** A named tensor at the border of a graph: `value` lies in the order `perm` of the program's `shape`. */
export interface Slot {
  readonly name: string;
  readonly value: Value;
  readonly shape: readonly number[];
  readonly perm: readonly number[];
}

export interface Trace {
  readonly graph: GraphBuilder;
  readonly inputs: Record<string, Slot[]>;
  readonly outputs: Record<string, Slot[]>;
}

/** Learned rank-4 tensors are filters; they stay in the order in which convolutions read them. */
export function stateOrder(shape: readonly number[]): readonly number[] {
  return shape.length === 4 ? filterOrder(shape) : identity(shape.length);
}

/**
 * @param groups named groups of inputs; those of the group `state` lie in `stateOrder`
 * @param constants frozen values, written into the graph
 * @param run the program: from tensors of each group to groups of outputs
 * @param how operators are written
 * @throws Error naming the kernel that cannot be traced and the function that called it
 */
export async function trace(
  name: string,
  groups: Record<string, Specs>,
  constants: HostTensors,
  run: (inputs: Record<string, Tensors>, constants: Tensors) => Record<string, Tensors>,
  how?: Lowering,
): Promise<Trace> {
  const before = tf.engine().backendName;
  const frames = Error.stackTraceLimit;
  Error.stackTraceLimit = 50;
  await tf.setBackend(TRACER);
  const tracer = tf.backend() as Tracer;
  tracer.reset(how);
  const { graph } = tracer;
  tf.engine().startScope(name);
  try {
    const inputs: Record<string, Slot[]> = {};
    const tensors: Record<string, Tensors> = {};
    for (const [group, specs] of Object.entries(groups)) {
      inputs[group] = [];
      tensors[group] = {};
      for (const [key, { shape, dtype }] of Object.entries(specs)) {
        const perm = group === 'state' ? stateOrder(shape) : identity(shape.length);
        const value: Value = {
          name: `${group}/${key}`,
          type: onnxType(dtype),
          shape: permuteShape(shape, perm),
        };
        inputs[group].push({ name: key, value, shape, perm });
        tensors[group][key] = symbolic(tracer.out(value, shape, dtype, perm));
      }
    }
    const frozen: Tensors = {};
    for (const [key, { shape, dtype, data }] of Object.entries(constants)) {
      const value = graph.constant(onnxType(dtype), shape, data, `constant/${key}`);
      frozen[key] = symbolic(tracer.out(value, shape, dtype));
    }
    const results = run(tensors, frozen);
    const outputs: Record<string, Slot[]> = {};
    for (const [group, record] of Object.entries(results)) {
      outputs[group] = Object.entries(record).map(([key, tensor]) => {
        const perm = group === 'state' ? stateOrder(tensor.shape) : identity(tensor.rank);
        return { name: key, value: tracer.as(tracer.sym(tensor), perm), shape: tensor.shape, perm };
      });
    }
    if (how?.precision === 'int8') fuseBias(graph);
    graph.prune(Object.values(outputs).flatMap((slots) => slots.map((slot) => slot.value)));
    if (how?.precision === 'f16') return inHalf({ graph, inputs, outputs }, tracer.target.float16);
    return { graph, inputs, outputs };
  } catch (cause) {
    throw explained(name, cause);
  } finally {
    Error.stackTraceLimit = frames;
    tf.engine().endScope();
    tracer.reset();
    if (before) await tf.setBackend(before);
  }
}

function inHalf({ graph, inputs, outputs }: Trace, arithmetic: boolean): Trace {
  const all = Object.values(inputs).flat();
  const slots = Object.values(outputs).flat();
  const values = inHalfPrecision(graph, {
    inputs: all.map(({ value }) => value),
    learned: new Set((inputs.state ?? all).map(({ value }) => value.name)),
    outputs: slots.map(({ value }) => value),
    arithmetic,
  });
  const wide = new Map(slots.map((slot, i) => [slot, values[i]!]));
  const groups = Object.entries(outputs).map(([group, slots]) => [
    group,
    slots.map((slot) => ({ ...slot, value: wide.get(slot)! })),
  ]);
  return { graph, inputs, outputs: Object.fromEntries(groups) };
}

/** This folder, as stack frames show it. */
const here = path.dirname(fileURLToPath(import.meta.url));

function symbolic(info: tf.TensorInfo): tf.Tensor {
  return tf.engine().makeTensorFromTensorInfo(info);
}

/** TF.js names the kernel it misses; the stack tells who asked for it. */
function explained(name: string, cause: unknown): Error {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const missing = /[Kk]ernel '?(\w+)'? (?:not registered|for backend)/.exec(error.message);
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line));
  const frame = frames?.find(
    (line) => !line.includes('tfjs-core') && !line.includes(here) && !line.includes('node:'),
  );
  const caller = frame?.trim().replace(/^at (?:Object\.)?/, '') ?? 'unknown';
  const what = missing
    ? `the kernel ${missing[1]} cannot be traced`
    : error.message.replace(/^internal: /, '');
  return new Error(`internal: tracing ${name}: ${what} (called by ${caller})`, { cause: error });
}
