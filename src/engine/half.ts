/**
 * Mixed precision (P. Micikevicius et al., arXiv 1710.03740) as a pass over a traced graph: convolutions, products and
 * what lies between them in float16; what enters and leaves the graph, sums, statistics, softmax, everything marked
 * with `inFloat32`, and all that is computed from gradients of weights (the optimiser) in float32. Programs know
 * nothing of it; neither do kernels but for that mark.
 */
import { must, pairs } from '../base/lookup.js';
import { sizeOf } from '../base/tensor.js';
import { type GraphBuilder, type Node, resultOf, type Value } from './graph.js';

const FLOAT32 = 1;
const FLOAT16 = 10;

const PRODUCTS = new Set(['Conv', 'ConvTranspose', 'MatMul', 'FusedMatMul', 'Gemm']);
/** Float16 in, float16 out: the first input decides, what others there may be are shapes and places. */
const ONE = new Set(
  (
    'Reshape Transpose Expand Tile Slice Split Pad Gather GatherElements SpaceToDepth Resize MaxPool Identity ' +
    'Neg Abs Sign Relu LeakyRelu Sigmoid Tanh Erf QuickGelu Gelu'
  ).split(' '),
);
const SEVERAL = new Set(['Add', 'Sub', 'Mul', 'Max', 'Min', 'Where', 'Concat', 'FusedConv', 'Clip']);
const COMPARISONS = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual']);

/**
 * Terms that a sum in float16 may have: the WebGPU provider adds a product's terms up in the type of its result, 11
 * bits, so that behind 2,048 terms of one size the next is lost.
 */
const LONGEST_SUM = 2048;
/** What float16 holds to its full 11 bits. */
const [SMALLEST, LARGEST] = [2 ** -14, 65504];

/**
 * A float32 copy serves the next so many nodes; later ones make their own, so that no copy lies in memory from the
 * forward pass to the backward pass. ONNX Runtime must be kept from merging them: `separateCopies`.
 */
const REACH = 40;

/** Options of a session that runs such a graph. */
export const separateCopies = {
  'optimization.disable_specified_optimizers': 'CommonSubexpressionElimination',
};

/** What a node computes in, and what its (first) result is kept in. */
interface Plan {
  readonly computes: 16 | 32;
  readonly keeps: 16 | 32;
}
const WIDE: Plan = { computes: 32, keeps: 32 };
const HALF: Plan = { computes: 16, keeps: 16 };
const ROUNDED: Plan = { computes: 32, keeps: 16 };

/**
 * Rewrites `graph` in place.
 *
 * @param o.inputs float32 or of another type, as the graph goes on to take them
 * @param o.learned names of inputs that are learned; the program's constants count as learned too
 * @param o.arithmetic whether the device computes in float16; otherwise numbers are rounded to it and computed with in
 *   float32
 * @returns what gives a value of the graph in float32, as outputs are wanted
 */
export function inHalfPrecision(
  graph: GraphBuilder,
  o: {
    inputs: readonly Value[];
    learned: ReadonlySet<string>;
    arithmetic: boolean;
  },
): (value: Value) => Value {
  const pass = new Halving(graph, o);
  for (const node of graph.takeNodes()) pass.add(node);
  return (value) => ({ ...value, name: pass.inFloat32(value.name) });
}

class Halving {
  private readonly inputs: ReadonlyMap<string, Value>;
  /** Depends on something learned: noise does not, and its products are exact in float32 only. */
  private readonly learned: Set<string>;
  /** Computed from gradients of weights. */
  private readonly updates = new Set<string>();
  private readonly readers = new Map<string, string[]>();
  private readonly narrow = new Map<string, string>();
  private readonly widened = new Map<string, { name: string; at: number }>();

  constructor(
    private readonly graph: GraphBuilder,
    private readonly o: {
      inputs: readonly Value[];
      learned: ReadonlySet<string>;
      arithmetic: boolean;
    },
  ) {
    this.inputs = new Map(o.inputs.map((value) => [value.name, value]));
    const constants = [...graph.initializers.keys()].filter((name) => name.startsWith('constant/'));
    this.learned = new Set([...o.learned, ...constants]);
    for (const { op, inputs } of graph.nodes)
      for (const name of inputs) this.readers.set(name, [...(this.readers.get(name) ?? []), op]);
  }

  add(node: Node): void {
    const { graph } = this;
    const known = node.outputs.map((name) => this.value(name));
    if (node.inputs.some((name) => this.learned.has(name))) this.mark(this.learned, node);
    if (this.isUpdate(node)) this.mark(this.updates, node);
    const plan = this.plan(node);
    const computes = plan.computes === 16 && this.o.arithmetic ? 16 : 32;
    const asked = node.op === 'Resize' ? 1 : node.inputs.length; // its scales are float32 in any case
    const inputs = node.inputs.map((name, i) => {
      if (i >= asked || !this.isFloat(name)) return name;
      return computes === 16 ? this.inFloat16(name) : this.inFloat32(name);
    });
    const kept = (value: Value, i: number): Value =>
      plan.keeps === 16 && (i === 0 || node.op === 'Split') ? { ...value, type: 'float16' } : value;
    const results = known.map(kept);
    if (computes === 16 || plan.keeps === 32) {
      graph.add({ ...node, inputs }, results);
      return;
    }
    const wide = results.map(
      (value): Value =>
        value.type === 'float16' ? { ...value, name: graph.fresh(), type: 'float32' } : value,
    );
    graph.add({ ...node, inputs, outputs: wide.map(({ name }) => name) }, wide);
    for (const [from, value] of pairs(wide, results))
      if (value.type === 'float16') this.cast(from.name, value, FLOAT16);
  }

  private mark(set: Set<string>, node: Node): void {
    for (const name of node.outputs) set.add(name);
  }

  /** Single numbers pass nothing on: the norm of a gradient may weigh a loss. */
  private isUpdate({ op, wide, inputs }: Node): boolean {
    if (wide === 'onwards' && PRODUCTS.has(op)) return true;
    return inputs.some((name) => this.updates.has(name) && this.size(name) > 1);
  }

  private plan(node: Node): Plan {
    const { op, inputs, wide } = node;
    const [first = ''] = inputs;
    if (wide || this.updates.has(resultOf(node))) return WIDE;
    if (PRODUCTS.has(op)) return this.ofProduct(node);
    if (/^(Simplified)?LayerNormalization$/.test(op)) return ROUNDED;
    if (op === 'Softmax') return this.isHalf(first) ? ROUNDED : WIDE;
    if (ONE.has(op)) return this.isHalf(first) ? HALF : WIDE;
    const floats = inputs.filter((name) => this.isFloat(name));
    if (COMPARISONS.has(op)) {
      const all = floats.length > 0 && floats.every((name) => this.isHalf(name) || this.fits(name, op));
      return all && floats.some((name) => this.isHalf(name)) ? { computes: 16, keeps: 32 } : WIDE;
    }
    return SEVERAL.has(op) ? this.ofSeveral(node, floats) : WIDE;
  }

  private ofProduct(node: Node): Plan {
    const { op, inputs, attrs } = node;
    if (!inputs.some((name) => this.learned.has(name))) return WIDE;
    const [left = '', right = ''] = inputs;
    const [a, b, y] = [this.value(left).shape, this.value(right).shape, this.value(resultOf(node)).shape];
    const image = op === 'Conv' || op === 'ConvTranspose';
    if (!image && y.at(-1) === 1 && y.at(-2) === 1) return WIDE; // a sum of rows, not a product of matrices
    const terms = image
      ? sizeOf(b.toSpliced(op === 'Conv' ? 0 : 1, 1)) // all but the axis of outputs
      : must(a.at(attrs.transA ? -2 : -1), 'columns');
    return terms > LONGEST_SUM ? ROUNDED : HALF;
  }

  /** Float16 where every operand as large as the result is, and all others may become so. */
  private ofSeveral(node: Node, floats: readonly string[]): Plan {
    const { op, outputs } = node;
    const size = this.size(resultOf(node));
    const others = floats.filter((name) => !this.isHalf(name));
    if (others.length === floats.length) return WIDE;
    const computed = others.filter((name) => !this.graph.initializers.has(name));
    const fitting = others.every((name) => computed.includes(name) || this.fits(name, op));
    if (!fitting || computed.some((name) => op === 'Concat' || [1, size].includes(this.size(name))))
      return WIDE;
    if (outputs.every((name) => this.readers.get(name)?.every((reader) => reader.startsWith('Reduce'))))
      return WIDE; // terms of a sum
    return op === 'Sub' && computed.length > 0 ? ROUNDED : HALF; // less a mean
  }

  /** Whether a constant is in the range of float16; what is added may be −∞ there, which masks. */
  private fits(name: string, op: string): boolean {
    const data = this.graph.initializers.get(name)?.data as Float32Array | undefined;
    const fit = (x: number): boolean => {
      const size = Math.abs(x);
      return size === 0 || (size >= SMALLEST && (size <= LARGEST || (op === 'Add' && x < 0)));
    };
    return data?.every(fit) ?? false;
  }

  private value(name: string): Value {
    const value = this.inputs.get(name) ?? this.graph.valueOf(name);
    if (!value) throw new Error(`internal: ${name} has no value`);
    return value;
  }

  private size(name: string): number {
    return sizeOf(this.value(name).shape);
  }

  private isHalf(name: string): boolean {
    return this.value(name).type === 'float16';
  }

  private isFloat(name: string): boolean {
    return name !== '' && /^float/.test(this.value(name).type);
  }

  private inFloat16(name: string): string {
    if (this.isHalf(name)) return name;
    const before = this.narrow.get(name);
    if (before) return before;
    const value: Value = { ...this.value(name), name: this.graph.fresh(), type: 'float16' };
    this.cast(name, value, FLOAT16);
    this.narrow.set(name, value.name);
    return value.name;
  }

  inFloat32(name: string): string {
    if (!this.isHalf(name)) return name;
    const before = this.widened.get(name);
    const at = this.graph.nodes.length;
    if (before && at - before.at <= REACH) {
      this.widened.set(name, { ...before, at });
      return before.name;
    }
    const value: Value = { ...this.value(name), name: this.graph.fresh(), type: 'float32' };
    this.cast(name, value, FLOAT32);
    this.widened.set(name, { name: value.name, at });
    return value.name;
  }

  private cast(from: string, value: Value, to: number): void {
    this.graph.add({ op: 'Cast', domain: '', inputs: [from], outputs: [value.name], attrs: { to } }, [value]);
  }
}
