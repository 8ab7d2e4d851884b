/** Runs a program once under the tracing backend and returns the graph it wrote. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../base/tensor.js';
import { turns } from '../data/turns.js';
import type { InputSpec, Tensors } from './device.js';
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
  /** Of an input. */
  readonly free?: InputSpec['free'];
}

/** Of groups of inputs and outputs. */
export interface Trace<In extends string, Out extends string> {
  readonly graph: GraphBuilder;
  readonly inputs: Record<In, Slot[]>;
  readonly outputs: Record<Out, Slot[]>;
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
export const trace = <In extends string, Out extends string>(
  ...o: Parameters<typeof traceNow<In, Out>>
): Promise<Trace<In, Out>> => tracing.alone(() => traceNow(...o));

/** TF.js has one backend at a time for all of the process. */
const tracing = turns();

async function traceNow<In extends string, Out extends string>(
  name: string,
  groups: Record<In, Record<string, InputSpec>>,
  constants: HostTensors,
  run: (inputs: Record<In, Tensors>, constants: Tensors) => Record<Out, Tensors>,
  how?: Lowering,
): Promise<Trace<In, Out>> {
  const before = tf.engine().backendName;
  const frames = Error.stackTraceLimit;
  Error.stackTraceLimit = 50;
  await tf.setBackend(TRACER);
  const tracer = tf.backend() as Tracer;
  tracer.reset(how);
  const { graph } = tracer;
  tf.engine().startScope(name);
  try {
    const inputs = {} as Record<In, Slot[]>;
    const tensors = {} as Record<In, Tensors>;
    for (const [group, specs] of entries(groups)) {
      const slots: Slot[] = [];
      const record: Tensors = {};
      for (const [key, { shape, dtype, free }] of Object.entries(specs)) {
        const perm = group === 'state' ? stateOrder(shape) : identity(shape.length);
        const value: Value = {
          name: `${group}/${key}`,
          type: onnxType(dtype),
          shape: permuteShape(shape, perm),
        };
        slots.push({ name: key, value, shape, perm, free });
        record[key] = symbolic(tracer.out(value, shape, dtype, perm));
      }
      inputs[group] = slots;
      tensors[group] = record;
    }
    const frozen: Tensors = {};
    for (const [key, { shape, dtype, data }] of Object.entries(constants)) {
      const value = graph.constant(onnxType(dtype), shape, data, `constant/${key}`);
      frozen[key] = symbolic(tracer.out(value, shape, dtype));
    }
    const results = run(tensors, frozen);
    const outputs = {} as Record<Out, Slot[]>;
    for (const [group, record] of entries(results)) {
      outputs[group] = Object.entries(record).map(([key, tensor]) => {
        const perm = group === 'state' ? stateOrder(tensor.shape) : identity(tensor.rank);
        return { name: key, value: tracer.as(tracer.sym(tensor), perm), shape: tensor.shape, perm };
      });
    }
    if (how?.precision?.startsWith('int8')) fuseBias(graph);
    graph.prune(Object.values<Slot[]>(outputs).flatMap((slots) => slots.map((slot) => slot.value)));
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

function inHalf<In extends string, Out extends string>(
  { graph, inputs, outputs }: Trace<In, Out>,
  arithmetic: boolean,
): Trace<In, Out> {
  const groups: Record<string, Slot[]> = inputs;
  const all = Object.values(groups).flat();
  const inFloat32 = inHalfPrecision(graph, {
    inputs: all.map(({ value }) => value),
    learned: new Set((groups.state ?? all).map(({ value }) => value.name)),
    arithmetic,
  });
  const wide = {} as Record<Out, Slot[]>;
  for (const [group, slots] of entries(outputs))
    wide[group] = slots.map((slot) => ({ ...slot, value: inFloat32(slot.value) }));
  return { graph, inputs, outputs: wide };
}

const entries = <K extends string, V>(record: Record<K, V>) => Object.entries(record) as [K, V][];

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
