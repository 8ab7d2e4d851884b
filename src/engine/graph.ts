/**
 * A dataflow graph under construction. Values are physical (what ONNX Runtime sees); identical nodes are merged as
 * they are added, so a program may state the same forward pass twice and pay once.
 */
import { must } from '../base/lookup.js';
import { sizeOf } from '../base/tensor.js';

export type OnnxType = 'float32' | 'float16' | 'int32' | 'int64' | 'uint8' | 'int8' | 'bool';
/** Half precision is kept as its 16 bits. */
export type OnnxData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

export interface Value {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

/** A number is an ONNX int; floats are marked, since 1 and 1.0 are one value in JavaScript. */
export type Attr = number | readonly number[] | string | { readonly float: number };
export type Attrs = Record<string, Attr>;

export interface Node {
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: Attrs;
  /** Float32 whatever the program's precision: this node, or this one and what its result goes into. */
  readonly wide?: 'here' | 'onwards';
}

/** The first, as a rule the only one. */
export const resultOf = ({ op, outputs }: Node): string => must(outputs[0], `result of ${op}`);

export interface Initializer extends Value {
  readonly data: OnnxData;
}

export interface Out {
  readonly type?: OnnxType;
  readonly shape: readonly number[];
}

/** As many values as a node has outputs. */
type Results<O extends readonly Out[]> = { -readonly [K in keyof O]: Value };

/**
 * ONNX Runtime's own operators; all others are of the default ONNX domain, but those of its blocked layout
 * (`nchwc.Conv`).
 */
const MICROSOFT = new Set([
  ...['FusedConv', 'FusedMatMul', 'MatMulIntegerToFloat', 'MatMulNBits'],
  ...['MultiHeadAttention', 'QuickGelu'],
]);
const BLOCKED = 'nchwc.';

function domainOf(op: string): Pick<Node, 'op' | 'domain'> {
  if (op.startsWith(BLOCKED)) return { op: op.slice(BLOCKED.length), domain: 'com.microsoft.nchwc' };
  return { op, domain: MICROSOFT.has(op) ? 'com.microsoft' : '' };
}

export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly initializers = new Map<string, Initializer>();
  private readonly known = new Map<string, Value[]>();
  private readonly values = new Map<string, Value>();
  private readonly constants = new Map<string, Value>();
  private readonly derivations = new Map<string, Value>();
  private count = 0;
  private wide: Node['wide'];

  constructor(private readonly prefix = 'v') {}

  /** Adds a node with one output, or returns the value of the same node added before. */
  op(op: string, inputs: readonly (Value | undefined)[], attrs: Attrs, out: Out): Value {
    const [value] = this.ops(op, inputs, attrs, [out]);
    return value;
  }

  /** As `op`, for a node with several outputs; an absent input is `undefined`. */
  ops<const O extends readonly Out[]>(
    op: string,
    inputs: readonly (Value | undefined)[],
    attrs: Attrs,
    outs: O,
  ): Results<O> {
    const names = inputs.map((v) => v?.name ?? '');
    const key = `${op}(${names.join()})${JSON.stringify(attrs)}${outs.length}`;
    const before = this.known.get(key);
    if (before) return before as Results<O>;
    const type = inputs.find((v) => v)?.type ?? 'float32';
    const values = outs.map((out) => ({ name: this.fresh(), type: out.type ?? type, shape: [...out.shape] }));
    this.nodes.push({
      ...domainOf(op),
      inputs: names,
      outputs: values.map((v) => v.name),
      attrs,
      ...(this.wide && { wide: this.wide }),
    });
    this.known.set(key, values);
    for (const value of values) this.values.set(value.name, value);
    return values as Results<O>;
  }

  /**
   * What `build` adds stays in float32 where a program's precision is lower.
   *
   * @param reach `onwards`: so does all that is computed from it, but for what is computed from single numbers
   */
  inFloat32<T>(build: () => T, reach: Node['wide'] = 'here'): T {
    const before = this.wide;
    this.wide = before ?? reach;
    try {
      return build();
    } finally {
      this.wide = before;
    }
  }

  /** Takes all nodes out, to be added again as they are or otherwise; `op` knows none of them any more. */
  takeNodes(): Node[] {
    this.known.clear();
    return this.nodes.splice(0);
  }

  /** Adds a node as it is. */
  add(node: Node, outputs: readonly Value[]): void {
    this.nodes.push(node);
    for (const value of outputs) this.values.set(value.name, value);
  }

  /** A constant; equal small ones are shared. */
  constant(type: OnnxType, shape: readonly number[], data: OnnxData, name?: string): Value {
    if (data.length !== sizeOf(shape))
      throw new Error(`internal: ${data.length} values for a constant [${shape}]`);
    const key =
      data.length <= 64 && !name
        ? `${type}[${shape}]${[...data].map((x) => (Object.is(x, -0) ? '-0' : x))}`
        : '';
    const before = key && this.constants.get(key);
    if (before) return before;
    const value: Initializer = { name: name ?? this.fresh(), type, shape: [...shape], data };
    this.initializers.set(value.name, value);
    if (key) this.constants.set(key, value);
    return value;
  }

  /**
   * A constant computed from another value's, or from nothing but `how`: the same one for the same words, so that what
   * is computed from it can be merged too.
   */
  derived(from: Value | undefined, how: string, make: () => Value): Value {
    const key = `${from?.name ?? ''}|${how}`;
    const value = this.derivations.get(key) ?? make();
    this.derivations.set(key, value);
    return value;
  }

  float(value: number): Value {
    return this.constant('float32', [], Float32Array.of(value));
  }

  /** An int64 vector: axes, shapes and the like. */
  ints(values: readonly number[]): Value {
    return this.constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  }

  /** Gives values other names, wherever they are written and read. */
  rename(names: ReadonlyMap<string, string>): void {
    const other = (name: string) => names.get(name) ?? name;
    for (const [i, node] of this.nodes.entries()) {
      this.nodes[i] = { ...node, inputs: node.inputs.map(other), outputs: node.outputs.map(other) };
    }
  }

  /** A constant or a node's result. */
  valueOf(name: string): Value | undefined {
    return this.initializers.get(name) ?? this.values.get(name);
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.valueOf(name)?.shape;
  }

  /** Puts every node behind those that it reads. */
  sort(): void {
    const producers = new Map(this.nodes.flatMap((node) => node.outputs.map((name) => [name, node])));
    const sorted = new Set<Node>();
    const visit = (node: Node): void => {
      if (sorted.has(node)) return;
      for (const name of node.inputs) {
        const before = producers.get(name);
        if (before) visit(before);
      }
      sorted.add(node);
    };
    for (const node of this.nodes) visit(node);
    this.nodes.splice(0, this.nodes.length, ...sorted);
  }

  fresh(): string {
    this.count += 1;
    return `${this.prefix}${this.count}`;
  }

  /**
   * Drops nodes and constants on which none of `outputs` depends, and forgets them: whoever asks for one again gets
   * another.
   */
  prune(outputs: readonly Pick<Value, 'name'>[]): void {
    const needed = new Set(outputs.map((v) => v.name));
    const kept = this.nodes.reverse().filter((node) => {
      const isNeeded = node.outputs.some((name) => needed.has(name));
      if (isNeeded) for (const name of node.inputs) needed.add(name);
      return isNeeded;
    });
    this.nodes.splice(0, this.nodes.length, ...kept.reverse());
    for (const name of this.initializers.keys()) if (!needed.has(name)) this.initializers.delete(name);
    const isGone = (value: Value) => !needed.has(value.name);
    for (const [key, values] of this.known) if (values.every(isGone)) this.known.delete(key);
    for (const remembered of [this.constants, this.derivations])
      for (const [key, value] of remembered) if (isGone(value)) remembered.delete(key);
  }
}
