/** Traced programs as ONNX models: a plain graph for inference, a Loop over steps for training. */
import type { GraphProgram, StepProgram } from './device.js';
import type { GraphBuilder, Node } from './graph.js';
import { encodeModel, type OnnxGraph, type Port, port } from './onnx.js';
import { type Slot, trace } from './trace.js';

export interface Compiled {
  readonly model: Uint8Array;
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
}

export async function compileGraph(program: GraphProgram): Promise<Compiled> {
  const t = await trace(
    program.name,
    { inputs: program.inputs },
    program.constants,
    ({ inputs }, constants) => ({
      outputs: program.run(inputs!, constants),
    }),
  );
  const outputs = t.outputs.outputs!;
  const ends = named(t.graph, { outputs });
  const model = encodeModel({
    name: program.name,
    nodes: [...t.graph.nodes, ...ends.copies],
    initializers: [...t.graph.initializers.values()],
    inputs: t.inputs.inputs!.map((slot) => port(slot.value)),
    outputs: ends.ports,
  });
  return { model, inputs: t.inputs.inputs!, outputs };
}

export interface CompiledStep {
  readonly model: Uint8Array;
  readonly state: readonly Slot[];
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
}

/** Name of the model's input that holds the number of steps. */
export const STEPS = 'steps';

/**
 * One ONNX Loop whose carried values are the state. Step `i` reads row `i` of every stacked input `[steps, …]`; the
 * step's outputs come back stacked. ONNX Runtime copies what a run returns, so the state is returned once per run,
 * not once per step.
 */
export async function compileStep(program: StepProgram): Promise<CompiledStep> {
  const t = await trace(
    program.name,
    { state: program.state, inputs: program.inputs },
    program.constants,
    ({ state, inputs }, constants) => {
      const result = program.step(state!, inputs!, constants);
      const next = Object.fromEntries(Object.keys(program.state).map((name) => [name, result.state[name]!]));
      return { state: next, outputs: result.outputs };
    },
  );
  const state = t.inputs.state!;
  const inputs = t.inputs.inputs!;
  const outputs = t.outputs.outputs!;
  const ends = named(t.graph, { next: t.outputs.state!, outputs });
  const rows: Node[] = inputs.map((slot) => ({
    op: 'Gather',
    domain: '',
    inputs: [`stacked/${slot.name}`, 'iteration'],
    outputs: [slot.value.name],
    attrs: { axis: 0 },
  }));
  const goOn: Node = { op: 'Identity', domain: '', inputs: ['condition'], outputs: ['go-on'], attrs: {} };
  const body: OnnxGraph = {
    name: 'step',
    nodes: [goOn, ...rows, ...t.graph.nodes, ...ends.copies],
    initializers: [...t.graph.initializers.values()],
    inputs: [
      { name: 'iteration', type: 'int64', shape: [] },
      { name: 'condition', type: 'bool', shape: [] },
      ...state.map((slot) => port(slot.value)),
    ],
    outputs: [{ name: 'go-on', type: 'bool', shape: [] }, ...ends.ports],
  };
  const stacked = (slots: readonly Slot[], prefix: string): Port[] =>
    slots.map(({ name, value }) => ({
      name: `${prefix}/${name}`,
      type: value.type,
      shape: ['steps', ...value.shape],
    }));
  const finalState = state.map((slot) => port(slot.value, `final/${slot.name}`));
  const finalOutputs = stacked(outputs, 'result');
  const model = encodeModel({
    name: program.name,
    nodes: [
      {
        op: 'Loop',
        domain: '',
        inputs: [STEPS, '', ...state.map((slot) => slot.value.name)],
        outputs: [...finalState, ...finalOutputs].map((p) => p.name),
        attrs: {},
        graphs: { body },
      },
    ],
    initializers: [],
    inputs: [
      { name: STEPS, type: 'int64', shape: [] },
      ...state.map((slot) => port(slot.value)),
      ...stacked(inputs, 'stacked'),
    ],
    outputs: [...finalState, ...finalOutputs],
  });
  return { model, state, inputs, outputs };
}

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
