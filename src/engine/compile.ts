/** Traced programs as ONNX models: a plain graph for inference, a Loop over steps for training. */
import { picked } from '../base/lookup.js';
import { sizeOf } from '../base/tensor.js';
import type { GraphProgram, StepProgram } from './device.js';
import type { GraphBuilder, Node, Value } from './graph.js';
import { type EncodedModel, encodeModel, type OnnxGraph, type Port, port } from './onnx.js';
import { byDepth } from './order.js';
import { packUpdates, type StateBuffer } from './pack.js';
import { cpuTarget, type Target } from './target.js';
import { type Slot, trace } from './trace.js';

export interface Compiled {
  readonly model: EncodedModel;
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
}

export async function compileGraph(program: GraphProgram, target?: Target): Promise<Compiled> {
  const t = await trace(
    program.name,
    { inputs: program.inputs },
    program.constants,
    ({ inputs }, constants) => ({
      outputs: program.run(inputs, constants),
    }),
    { target, precision: program.precision },
  );
  const { outputs } = t.outputs;
  const ends = named(t.graph, { outputs });
  const model = encodeModel({
    name: program.name,
    nodes: [...t.graph.nodes, ...ends.copies],
    initializers: [...t.graph.initializers.values()],
    inputs: t.inputs.inputs.map(freePort),
    outputs: ends.ports,
  });
  return { model, inputs: t.inputs.inputs, outputs };
}

function freePort({ value, free = {} }: Slot): Port {
  return { ...port(value), shape: value.shape.map((n, axis) => free[axis] ?? n) };
}

export interface CompiledStep {
  readonly model: EncodedModel;
  /** Whether one run takes several steps: inputs and outputs stacked, the number of steps as the input `STEPS`. */
  readonly looped: boolean;
  readonly state: readonly Slot[];
  /** The tensors that hold the state. */
  readonly buffers: readonly StateBuffer[];
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
}

/** Name of the model's input that holds the number of steps. */
export const STEPS = 'steps';

/**
 * From this size (bytes) of the state on, steps run one by one. A Loop holds the state five times over: what came in,
 * before and after the present step, what goes out and its copy; a plain graph three times, but copies the state out
 * after every step.
 */
const loopUpTo = 256 * 2 ** 20;

/**
 * A step as a graph: of one step, or a Loop over several. Its values have the same names and bits either way.
 *
 * @param o.loopBelow bytes of state from which on a run takes one step
 */
export async function compileStep(
  program: StepProgram,
  o: { loopBelow?: number; target?: Target } = {},
): Promise<CompiledStep> {
  const t = await trace(
    program.name,
    { state: program.state, inputs: program.inputs },
    program.constants,
    ({ state, inputs }, constants) => {
      const result = program.step(state, inputs, constants);
      return { state: picked(result.state, Object.keys(program.state)), outputs: result.outputs };
    },
    { target: o.target, precision: program.precision },
  );
  const slots = { state: t.inputs.state, inputs: t.inputs.inputs, outputs: t.outputs.outputs };
  const results = slots.outputs.map(({ value }) => value);
  const state = { before: slots.state, after: t.outputs.state };
  const { inputs, finals, buffers } = packUpdates(t.graph, state, results, (o.target ?? cpuTarget).packs);
  const ends = named(t.graph, { final: finals, result: slots.outputs });
  const step: OnnxGraph = {
    name: program.name,
    nodes: byDepth([...t.graph.nodes, ...ends.copies]),
    initializers: [...t.graph.initializers.values()],
    inputs: [...inputs, ...slots.inputs.map(({ value }) => value)].map((value) => port(value)),
    outputs: ends.ports,
  };
  const bytes = 4 * slots.state.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const looped = bytes < (o.loopBelow ?? loopUpTo);
  return { model: encodeModel(looped ? loopOver(step, inputs, slots) : step), looped, buffers, ...slots };
}

/**
 * One ONNX Loop whose carried values are the state. Step `i` reads row `i` of every stacked input `[steps, …]`; the
 * step's outputs come back stacked. ONNX Runtime copies what a run returns, so the state is returned once per run,
 * not once per step.
 */
function loopOver(
  step: OnnxGraph,
  state: readonly Value[],
  slots: Pick<CompiledStep, 'inputs' | 'outputs'>,
): OnnxGraph {
  const rows: Node[] = slots.inputs.map(({ value }) => ({
    op: 'Gather',
    domain: '',
    inputs: [stacked(value.name), 'iteration'],
    outputs: [value.name],
    attrs: { axis: 0 },
  }));
  const goOn: Node = { op: 'Identity', domain: '', inputs: ['condition'], outputs: ['go-on'], attrs: {} };
  const body: OnnxGraph = {
    ...step,
    nodes: [goOn, ...rows, ...step.nodes],
    inputs: [
      { name: 'iteration', type: 'int64', shape: [] },
      { name: 'condition', type: 'bool', shape: [] },
      ...state.map((value) => port(value)),
    ],
    outputs: [{ name: 'go-on', type: 'bool', shape: [] }, ...step.outputs],
  };
  const inRows = (p: Port): Port => ({ ...p, name: stacked(p.name), shape: ['steps', ...p.shape] });
  const carried = step.outputs.slice(0, state.length);
  const outputs = [
    ...carried.map((p) => ({ ...p, name: stacked(p.name) })),
    ...step.outputs.slice(carried.length).map(inRows),
  ];
  return {
    name: step.name,
    nodes: [
      {
        op: 'Loop',
        domain: '',
        inputs: [STEPS, '', ...state.map(({ name }) => name)],
        outputs: outputs.map((p) => p.name),
        attrs: {},
        graphs: { body },
      },
    ],
    initializers: [],
    inputs: [
      { name: STEPS, type: 'int64', shape: [] },
      ...state.map((value) => port(value)),
      ...slots.inputs.map((slot) => inRows(port(slot.value))),
    ],
    outputs,
  };
}

/** The Loop's name for what is `name` in its body. */
export const stacked = (name: string): string => `loop/${name}`;

/**
 * Gives every output the name `group/name`: its node is made to write there, or, where one value serves twice or is an
 * input or constant, an Identity copies it.
 */
function named(graph: GraphBuilder, groups: Record<string, readonly Slot[]>): Ends {
  const free = new Set(graph.nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: Node[] = [];
  const end = ({ value, name }: Slot, group: string): Port => {
    const source = renamed.get(value.name) ?? value.name;
    const target = `${group}/${name}`;
    if (free.delete(value.name)) renamed.set(value.name, target);
    else copies.push({ op: 'Identity', domain: '', inputs: [source], outputs: [target], attrs: {} });
    return port(value, target);
  };
  const ports = Object.entries(groups).flatMap(([group, slots]) => slots.map((slot) => end(slot, group)));
  graph.rename(renamed);
  return { copies, ports };
}

interface Ends {
  readonly copies: readonly Node[];
  /** In the order of the groups. */
  readonly ports: readonly Port[];
}
