/**
 * Updates of many parameters as updates of one long vector. An optimiser does the same few elementwise operations to
 * every parameter, its moments and its average: one by one they are most of a training step's launches. Here
 * parameters with the same update are found, and their state lies end to end in one buffer for each part (value,
 * moments, average); the network reads its weights out of the first. Elementwise results keep their bits; the
 * gradients' common norm is summed in another order.
 */
import { must, pairs } from '../base/lookup.js';
import { firstAxis, sizeOf } from '../base/tensor.js';
import { type GraphBuilder, type Node, resultOf, type Value } from './graph.js';
import type { Target } from './target.js';
import type { Slot } from './trace.js';

/** A tensor of the graph that holds one part of the state, or several end to end. */
export interface StateBuffer {
  /** How the graph's ports call it: `state/<name>`, and `final/<name>` where it leaves. */
  readonly name: string;
  readonly shape: readonly number[];
  /** One, or several, each as a flat piece of its own; what lies behind the last is of no concern. */
  readonly members: readonly { readonly slot: Slot; readonly offset: number }[];
}

export interface Packed {
  readonly inputs: readonly Value[];
  /** New values by the buffers' names, in order. */
  readonly finals: readonly Slot[];
  readonly buffers: readonly StateBuffer[];
}

const ELEMENTWISE = new Set(['Add', 'Sub', 'Mul', 'Div', 'Sqrt', 'Max', 'Min', 'Where']);
/** Buffers are filled up to rows of this many numbers, so that sums over them have two steps. */
const ROW = 1024;

/** A tensor of the state, as it comes in and as it goes out. */
interface Part {
  readonly slot: Slot;
  readonly final: Slot;
}

/** A parameter with all that its update reads and writes. */
interface Family {
  readonly parts: readonly Part[];
  readonly size: number;
  /** Equal for families whose updates differ in nothing but tensors and sizes. */
  readonly signature: string;
  /** Tensors that the update reads, state included, in the order in which the signature counts them. */
  readonly leaves: readonly string[];
}

/**
 * Rewrites `graph` in place, and puts its nodes in order.
 *
 * @param state as it comes in, and the same names as they go out
 * @param others outputs beside the state
 */
export function packUpdates(
  graph: GraphBuilder,
  state: { readonly before: readonly Slot[]; readonly after: readonly Slot[] },
  others: readonly Value[],
  { upTo, pieces }: Target['packs'],
): Packed {
  const all = pairs(state.before, state.after).map(([slot, final]): Part => ({ slot, final }));
  const update = new Updates(graph, all);
  const groups = new Map<string, Family[]>();
  for (const family of update.families()) {
    if (family.size > upTo) continue;
    const group = groups.get(family.signature) ?? [];
    groups.set(family.signature, [...group, family]);
  }
  const packed = new Set<Part>();
  const together = new Set<string>();
  const inputs: Value[] = [];
  const outs: Slot[] = [];
  const buffers: StateBuffer[] = [];
  const heads: Node[] = [];
  for (const families of groups.values()) {
    const [first, another] = families;
    if (!first || !another) continue;
    const { offsets, length } = endToEnd(families);
    const wholes = first.parts.map((_, k) => {
      const name = `pack${buffers.length + k}`;
      const value: Value = { name: `state/${name}`, type: 'float32', shape: [length] };
      const members = pairs(families, offsets).map(([{ parts }, offset]) => ({
        slot: parts[k]!.slot,
        offset,
      }));
      return { buffer: { name, shape: [length], members }, value };
    });
    const values = update.packed(
      families,
      wholes.map(({ value }) => value),
      length,
    );
    for (const [{ buffer, value }, final] of pairs(wholes, values)) {
      inputs.push(value);
      outs.push({ name: buffer.name, value: final, shape: [length], perm: [0] });
      buffers.push(buffer);
      together.add(value.name);
      heads.push(...unpacked(graph, value, buffer, pieces));
    }
    for (const { parts } of families) for (const part of parts) packed.add(part);
  }
  for (const part of all) {
    if (packed.has(part)) continue;
    const { slot, final } = part;
    inputs.push(slot.value);
    outs.push(final);
    buffers.push({ name: slot.name, shape: slot.value.shape, members: [{ slot, offset: 0 }] });
  }
  graph.nodes.unshift(...heads);
  graph.sort();
  graph.prune([...outs.map(({ value }) => value), ...others]);
  matricesFirst(graph, outs, together);
  return { inputs, finals: outs, buffers };
}

/**
 * ONNX Runtime takes the nodes whose results nobody reads from the last one backwards, and before each what it still
 * needs. The update of a vector (a bias, a norm's scale) needs the gradients of a whole layer summed; so it is put
 * behind that of the next matrix or filter, whose gradient is made of parts of the batch one after the other. Those
 * `together` need a gradient of every layer, and come last.
 */
function matricesFirst(graph: GraphBuilder, finals: readonly Slot[], together: ReadonlySet<string>): void {
  const ranks = new Map(finals.map(({ value }) => [value.name, value.shape.length]));
  const read = new Set(graph.nodes.flatMap((node) => node.inputs));
  const isEnd = (node: Node) => ranks.has(resultOf(node)) && !read.has(resultOf(node));
  const ordered: Node[] = [];
  const last: Node[] = [];
  let vectors: Node[] = [];
  for (const node of graph.nodes.filter(isEnd).reverse()) {
    if (together.has(resultOf(node))) {
      last.push(node);
    } else if (must(ranks.get(resultOf(node)), 'rank') < 2) {
      vectors.push(node);
    } else {
      ordered.push(node, ...vectors);
      vectors = [];
    }
  }
  const ends = [...ordered, ...vectors, ...last].reverse();
  graph.nodes.splice(0, graph.nodes.length, ...graph.nodes.filter((node) => !isEnd(node)), ...ends);
}

function endToEnd(families: readonly Family[]): { offsets: number[]; length: number } {
  const offsets: number[] = [];
  let length = 0;
  for (const { size } of families) {
    offsets.push(length);
    length += size;
  }
  return { offsets, length: Math.ceil(length / ROW) * ROW };
}

/** Nodes that read the members out of a buffer, under the names by which the graph knows them. */
function unpacked(graph: GraphBuilder, whole: Value, { members }: StateBuffer, pieces: number): Node[] {
  const nodes: Node[] = [];
  const add = (op: string, inputs: string[], outputs: string[], attrs = {}) =>
    nodes.push({ op, domain: '', inputs, outputs, attrs });
  for (let at = 0; at < members.length; at += pieces) {
    const run = members.slice(at, at + pieces);
    const sizes = run.map(({ slot }) => sizeOf(slot.shape));
    const from = run[0]!.offset;
    const piece = graph.fresh();
    const range = [[from], [from + sizes.reduce((a, b) => a + b, 0)]].map((n) => graph.ints(n).name);
    add('Slice', [whole.name, ...range], [piece]);
    const flat = run.map(({ slot: { value } }) => (value.shape.length === 1 ? value.name : graph.fresh()));
    add('Split', [piece, graph.ints(sizes).name], flat, { axis: 0 });
    for (const [part, { slot }] of pairs(flat, run)) {
      if (part !== slot.value.name)
        add('Reshape', [part, graph.ints(slot.value.shape).name], [slot.value.name]);
    }
  }
  return nodes;
}

class Updates {
  private readonly producers = new Map<string, Node>();
  private readonly known = new Map<string, Part>();
  private readonly keys = new Map<string, string>();

  constructor(
    private readonly graph: GraphBuilder,
    private readonly parts: readonly Part[],
  ) {
    for (const node of graph.nodes) for (const name of node.outputs) this.producers.set(name, node);
    for (const part of parts) this.known.set(part.slot.value.name, part);
  }

  private shape(name: string): readonly number[] | undefined {
    return this.known.get(name)?.slot.value.shape ?? this.graph.shapeOf(name);
  }

  /** The shape of `name` as text, empty for a scalar. */
  private key(name: string): string | undefined {
    const key = this.keys.get(name) ?? this.shape(name)?.join();
    if (key !== undefined) this.keys.set(name, key);
    return key;
  }

  /** The node of `name` if it is elementwise over tensors of `shape` and scalars. */
  private inner(name: string, shape: string): Node | undefined {
    const node = this.producers.get(name);
    if (!node || !ELEMENTWISE.has(node.op) || this.key(name) !== shape) return undefined;
    const fits = (operand: string) => this.isScalar(operand) || this.key(operand) === shape;
    return node.inputs.every(fits) ? node : undefined;
  }

  private isScalar(name: string): boolean {
    return this.key(name) === '';
  }

  /** States whose updates have tensors in common, with the signature of these updates. */
  families(): Family[] {
    const owner = new Map<string, Part>();
    const parent = new Map<Part, Part>();
    const root = (part: Part): Part => {
      const above = parent.get(part);
      return above ? root(above) : part;
    };
    for (const part of this.parts) {
      const { slot, final } = part;
      const shape = final.value.shape.join();
      const visit = (name: string): void => {
        if (this.isScalar(name)) return;
        const before = owner.get(name);
        if (before) {
          if (root(before) !== root(part)) parent.set(root(part), root(before));
          return;
        }
        owner.set(name, part);
        for (const operand of this.inner(name, shape)?.inputs ?? []) visit(operand);
      };
      visit(slot.value.name);
      visit(final.value.name);
    }
    const together = new Map<Part, Part[]>();
    for (const part of this.parts) together.set(root(part), [...(together.get(root(part)) ?? []), part]);
    return [...together.values()].flatMap((parts) => this.family(parts) ?? []);
  }

  private family(parts: readonly Part[]): Family | undefined {
    const [first] = parts as [Part];
    const { shape } = first.slot.value;
    const key = shape.join();
    const alike = parts.every(
      ({ slot: { value } }) => value.type === 'float32' && value.shape.join() === key,
    );
    if (!alike || sizeOf(shape) < 2 || shape.length === 0) return undefined;
    const seen = new Map<string, number>();
    const leaves: string[] = [];
    let inner = 0;
    const write = (name: string): string => {
      if (this.isScalar(name)) return name;
      const known = seen.get(name);
      if (known !== undefined) return `#${known}`;
      const node = this.inner(name, key);
      if (!node) {
        seen.set(name, seen.size);
        leaves.push(name);
        const at = parts.findIndex(({ slot }) => slot.value.name === name);
        return at < 0 ? 'tensor' : `state ${at}`;
      }
      inner += 1;
      const text = `${node.op}(${node.inputs.map(write).join()})${JSON.stringify(node.attrs)}`;
      seen.set(name, seen.size);
      return text;
    };
    const signature = parts.map(({ final }) => write(final.value.name)).join(';');
    return inner === 0 ? undefined : { parts, size: sizeOf(shape), signature, leaves };
  }

  /** The update of all families at once: the new value of each part of the state. */
  packed(families: readonly Family[], wholes: readonly Value[], length: number): Value[] {
    const [{ parts, leaves }] = families as [Family];
    const values = new Map(pairs(parts, wholes).map(([{ slot }, whole]) => [slot.value.name, whole]));
    for (const [j, leaf] of leaves.entries()) {
      if (values.has(leaf)) continue;
      const names = families.map(({ leaves }) => leaves[j]!);
      const joined = this.joined(families, names, length);
      values.set(leaf, joined);
      sumSquaresTogether(this.graph, names, joined);
    }
    const [{ slot }] = parts as [Part];
    const shape = slot.value.shape.join();
    const build = (name: string): Value => {
      if (this.isScalar(name)) return { name, type: 'float32', shape: [] };
      const known = values.get(name);
      if (known) return known;
      const node = must(this.inner(name, shape), `update ${name}`);
      const value = this.graph.op(node.op, node.inputs.map(build), node.attrs, { shape: [length] });
      values.set(name, value);
      return value;
    };
    return parts.map(({ final }) => build(final.value.name));
  }

  /** The families' tensors end to end, zeros behind them. */
  private joined(families: readonly Family[], names: readonly string[], length: number): Value {
    const g = this.graph;
    const flat = pairs(families, names).map(([{ size }, name]) => {
      const value: Value = { name, type: 'float32', shape: must(this.shape(name), name) };
      return value.shape.length === 1
        ? value
        : g.op('Reshape', [value, g.ints([size])], {}, { shape: [size] });
    });
    const rest = length - families.reduce((sum, { size }) => sum + size, 0);
    const zeros = rest > 0 ? [g.constant('float32', [rest], new Float32Array(rest))] : [];
    return g.op('Concat', [...flat, ...zeros], { axis: 0 }, { shape: [length] });
  }
}

/**
 * Where Σ x² of every one of `names` is summed up by Adds (the norm of all gradients), the sum is taken of `joined`
 * instead: the terms fall out of the Adds, one comes in.
 */
function sumSquaresTogether(graph: GraphBuilder, names: readonly string[], joined: Value): void {
  const isSquare = ({ op, inputs }: Node, name: string | undefined) =>
    op === 'Mul' && inputs.every((operand) => operand === name);
  if (!graph.nodes.some((node) => isSquare(node, names[0]))) return;
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const name of node.inputs) {
      const others = readers.get(name);
      if (others) others.push(node);
      else readers.set(name, [node]);
    }
  }
  const only = (name: string, op: string): Node | undefined => {
    const [node, another] = readers.get(name) ?? [];
    return node?.op === op && !another ? node : undefined;
  };
  const squared = (name: string) => readers.get(name)?.find((node) => isSquare(node, name));
  const terms: string[] = [];
  for (const name of names) {
    const square = squared(name);
    const sum = square && only(resultOf(square), 'ReduceSum');
    const last = sum && (only(resultOf(sum), 'Reshape') ?? sum);
    const term = last?.outputs[0];
    if (term === undefined || graph.shapeOf(term)?.length !== 0 || !only(term, 'Add')) return;
    terms.push(term);
  }
  const rows = firstAxis(joined) / ROW;
  const square = graph.op('Mul', [joined, joined], {}, { shape: joined.shape });
  const table = graph.op('Reshape', [square, graph.ints([rows, ROW])], {}, { shape: [rows, ROW] });
  const byRow = graph.op('ReduceSum', [table, graph.ints([1])], { keepdims: 0 }, { shape: [rows] });
  const whole = graph.op('ReduceSum', [byRow, graph.ints([0])], { keepdims: 0 }, { shape: [] });
  const [one, ...others] = terms as [string, ...string[]];
  const nothing = new Set(others);
  const renamed = new Map([[one, whole.name]]);
  const now = (name: string): string => renamed.get(name) ?? name;
  const kept = graph.nodes.flatMap((node) => {
    const terms = node.inputs.filter((name) => !nothing.has(name)).map(now);
    if (node.op !== 'Add' || terms.length === node.inputs.length)
      return [{ ...node, inputs: node.inputs.map(now) }];
    const [left] = terms;
    if (left === undefined) nothing.add(resultOf(node));
    else renamed.set(resultOf(node), left);
    return [];
  });
  graph.nodes.splice(0, graph.nodes.length, ...kept);
}
