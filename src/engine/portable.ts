/**
 * Programs as ONNX files for any runtime: operators of the standard only, weights inside, clean names, and axes whose
 * length each run chooses.
 *
 * The tracer knows numbers only. A program with free axes is therefore traced twice, with other lengths: where the two
 * graphs differ, a length was read. Shapes of Reshape and Expand are then written so that they hold for any length;
 * whatever else differs is an error.
 */
import { fitsHalf, toHalf } from '../base/half.js';
import { must, pairs } from '../base/lookup.js';
import type { GraphProgram, InputSpec } from './device.js';
import type { GraphBuilder, Initializer, Node, OnnxType, Value } from './graph.js';
import { ELEMENT, encodePortable, type OnnxGraph, type Port, port } from './onnx.js';
import { portableTarget } from './target.js';
import { type Slot, type Trace, trace } from './trace.js';

export interface PortableOptions {
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether matrices and filters are stored in half precision; what is computed stays float32. */
  readonly halves: boolean;
}

/**
 * The bytes of the file. Inputs and outputs have the program's names; its int32 ones are int64 in the file, as is
 * usual. Axes of outputs may be as long as a free axis, or one longer.
 *
 * @throws Error where the program reads a free length for more than the shape of a tensor
 */
export async function portableModel(program: GraphProgram, o: PortableOptions): Promise<Uint8Array> {
  const lengths = lengthsOf(program);
  const [first, second] = [await traced(program, lengths, 0), await traced(program, lengths, 1)];
  const { graph } = first;
  freeShapes(program.name, first, second);
  for (const [i, node] of graph.nodes.entries()) graph.nodes[i] = withAxesInside(graph, node);
  const foreign = graph.nodes.find(({ domain }) => domain !== '');
  if (foreign) throw new Error(`internal: ${foreign.op} of ${foreign.domain} in a file for any runtime`);
  const inputs = borderIn(first);
  const outputs = borderOut(first, second, lengths);
  graph.prune(outputs);
  if (o.halves) storeHalves(graph);
  const whole: OnnxGraph = {
    name: program.name,
    nodes: graph.nodes,
    initializers: [...graph.initializers.values()],
    inputs,
    outputs,
  };
  return encodePortable(whole, o.metadata);
}

// Free axes --------------------------------------------------------------------------------------------------------------

/** Two lengths for each of the free axes, all prime: a product of other lengths is none of them. */
const LENGTHS = [
  [1009, 1013],
  [2003, 2011],
] as const;

/** The free axes by name. */
type Lengths = ReadonlyMap<string, Pair>;

function lengthsOf({ inputs }: GraphProgram): Lengths {
  const names = [...new Set(Object.values(inputs).flatMap(({ free }) => Object.values(free ?? {})))];
  if (names.length > LENGTHS.length) throw new Error(`internal: ${names.length} free axes`);
  return new Map(pairs(names, LENGTHS.slice(0, names.length)));
}

type Traced = Trace<'inputs', 'outputs'>;

function traced(program: GraphProgram, lengths: Lengths, time: 0 | 1): Promise<Traced> {
  const sized = (spec: InputSpec): InputSpec => ({
    ...spec,
    shape: spec.shape.map((n, axis) => {
      const name = spec.free?.[axis];
      return name === undefined ? n : must(lengths.get(name), name)[time];
    }),
  });
  const inputs = Object.fromEntries(
    Object.entries(program.inputs).map(([name, spec]) => [name, sized(spec)]),
  );
  return trace(
    program.name,
    { inputs },
    program.constants,
    ({ inputs }, constants) => ({ outputs: program.run(inputs, constants) }),
    { target: portableTarget },
  );
}

/** A length in the first and in the second trace. */
type Pair = readonly [number, number];
const varies = ([a, b]: Pair): boolean => a !== b;
const same = (a?: Pair, b?: Pair): boolean => a !== undefined && a[0] === b?.[0] && a[1] === b[1];

/** Rewrites the nodes of the first graph whose constants differ in the second. */
function freeShapes(name: string, first: Traced, second: Traced): void {
  const nodes = first.graph.nodes;
  const refuse = (what: string) => new Error(`internal: tracing ${name}: ${what} depends on a free axis`);
  if (nodes.length !== second.graph.nodes.length) throw refuse('the number of operators');
  const written: Node[] = [];
  for (const [i, node] of nodes.entries()) {
    if (JSON.stringify(node) !== JSON.stringify(second.graph.nodes[i]))
      throw refuse(`an attribute of ${node.op}`);
    const differing = node.inputs.filter((input) => !equalConstants(first.graph, second.graph, input));
    if (differing.length === 0) {
      written.push(node);
      continue;
    }
    const [x = '', shape = ''] = node.inputs;
    if (differing.join() !== shape) throw refuse(`a constant of ${node.op}`);
    const from = pairs(shapeIn(first, x), shapeIn(second, x));
    const to = pairs(numbers(first.graph, shape), numbers(second.graph, shape));
    const free = node.op === 'Reshape' ? freeReshape : node.op === 'Expand' ? freeExpand : undefined;
    const instead = free?.(from, to);
    if (!instead) throw refuse(`a ${node.op} from [${from.join('] [')}] to [${to.join('] [')}]`);
    written.push({ ...node, op: instead.op, inputs: [x, first.graph.ints(instead.numbers).name] });
  }
  nodes.splice(0, nodes.length, ...written);
}

function equalConstants(first: GraphBuilder, second: GraphBuilder, name: string): boolean {
  const [a, b] = [first.initializers.get(name), second.initializers.get(name)];
  if (!a || !b) return a === b;
  if (a.shape.join() !== b.shape.join() || a.data.length !== b.data.length) return false;
  return a.data.every((value: number | bigint, i: number) => Object.is(value, b.data[i]));
}

function shapeIn({ graph, inputs }: Traced, name: string): readonly number[] {
  const input = () => inputs.inputs.find(({ value }) => value.name === name)?.value.shape;
  return must(graph.shapeOf(name) ?? input(), name);
}

const numbers = (graph: GraphBuilder, name: string): number[] =>
  Array.from(must(graph.initializers.get(name), name).data as BigInt64Array, Number);

/** An operator that does the same for any length, with the numbers of its second input. */
interface Instead {
  readonly op: string;
  readonly numbers: readonly number[];
}

/**
 * Axes of length 1 put in or taken out; or lengths copied from the input where they stand (0), and at most one
 * inferred (−1).
 */
function freeReshape(from: Pair[], to: Pair[]): Instead | undefined {
  const [longer, shorter] = from.length > to.length ? [from, to] : [to, from];
  const ones = addedOnes(longer, shorter);
  if (ones) return { op: longer === from ? 'Squeeze' : 'Unsqueeze', numbers: ones };
  const shape = to.map((pair, i) => (!varies(pair) ? pair[0] : same(from[i], pair) ? 0 : -1));
  return shape.filter((n) => n === -1).length > 1 ? undefined : { op: 'Reshape', numbers: shape };
}

/** The axes of length 1 that `longer` has beyond `shorter`, if it has nothing else. */
function addedOnes(longer: readonly Pair[], shorter: readonly Pair[]): number[] | undefined {
  const ones: number[] = [];
  for (const [axis, pair] of longer.entries()) {
    if (same(shorter[axis - ones.length], pair)) continue;
    if (!same(pair, [1, 1])) return undefined;
    ones.push(axis);
  }
  return ones.length > 0 && longer.length - ones.length === shorter.length ? ones : undefined;
}

/** A free axis that the input has already stays as it is where Expand asks for length 1. */
function freeExpand(from: Pair[], to: Pair[]): Instead | undefined {
  const has = (i: number) => same(from[i - to.length + from.length], to[i]);
  if (to.some((pair, i) => varies(pair) && !has(i))) return undefined;
  return { op: 'Expand', numbers: to.map((pair) => (varies(pair) ? 1 : pair[0])) };
}

// What opset 17 has otherwise --------------------------------------------------------------------------------------------

/** Reductions whose axes became an input in opset 18 only. */
const AXES_INSIDE = /^Reduce(Mean|Max|Min|SumSquare|LogSumExp)$/;

function withAxesInside(g: GraphBuilder, node: Node): Node {
  if (!AXES_INSIDE.test(node.op) || node.inputs.length < 2) return node;
  const [x, axes] = node.inputs as [string, string];
  return { ...node, inputs: [x], attrs: { ...node.attrs, axes: numbers(g, axes) } };
}

// Borders ----------------------------------------------------------------------------------------------------------------

/** Inputs under the program's names, int64 where the program has int32. */
function borderIn({ graph, inputs }: Traced): Port[] {
  const names = new Map<string, string>();
  const casts: Node[] = [];
  const ports = inputs.inputs.map(({ name, value, free = {} }) => {
    const shape = value.shape.map((n, axis) => free[axis] ?? n);
    if (value.type === 'int32') casts.push(castNode(name, value.name, 'int32'));
    else names.set(value.name, name);
    return { name, type: fileType(value), shape };
  });
  graph.rename(names);
  graph.nodes.unshift(...casts);
  return ports;
}

/** Outputs likewise. */
function borderOut(first: Traced, second: Traced, lengths: Lengths): Port[] {
  const { graph } = first;
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs));
  return pairs(first.outputs.outputs, second.outputs.outputs).map(([slot, other]) => {
    const { name, value } = slot;
    if (value.type === 'int32') graph.nodes.push(castNode(value.name, name, 'int64'));
    else if (produced.delete(value.name)) graph.rename(new Map([[value.name, name]]));
    else throw new Error(`internal: the output ${name} is an input, a constant or another output`);
    return {
      ...port(value, name),
      type: fileType(value),
      shape: freeLengths(slot, other, lengths),
    };
  });
}

const fileType = ({ type }: Value): OnnxType => (type === 'int32' ? 'int64' : type);

const castNode = (from: string, to: string, type: OnnxType): Node => ({
  op: 'Cast',
  domain: '',
  inputs: [from],
  outputs: [to],
  attrs: { to: ELEMENT[type] },
});

function freeLengths(a: Slot, b: Slot, lengths: Lengths): (number | string)[] {
  return pairs(a.shape, b.shape).map((pair) => {
    if (!varies(pair)) return pair[0];
    for (const [name, [x, y]] of lengths) {
      if (same(pair, [x, y])) return name;
      if (same(pair, [x + 1, y + 1])) return `${name} + 1`;
    }
    throw new Error(`internal: the output ${a.name} is neither as long as a free axis nor one longer`);
  });
}

// Half precision ---------------------------------------------------------------------------------------------------------

/** Smaller constants stay float32: they weigh nothing. */
const SMALLEST = 1024;

function storeHalves(graph: GraphBuilder): void {
  const casts: Node[] = [];
  for (const constant of [...graph.initializers.values()]) {
    if (constant.type !== 'float32' || constant.shape.length < 2 || constant.data.length < SMALLEST) continue;
    const data = constant.data as Float32Array;
    if (!fitsHalf(data)) continue;
    const half: Initializer = {
      ...constant,
      name: `${constant.name}/half`,
      type: 'float16',
      data: toHalf(data),
    };
    graph.initializers.delete(constant.name);
    graph.initializers.set(half.name, half);
    casts.push(castNode(half.name, constant.name, 'float32'));
  }
  graph.nodes.unshift(...casts);
}
