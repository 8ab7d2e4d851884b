/**
 * Parameters are plain typed trees: a layer's type lists its learned leaves, sizes live in the config.
 * The same tree type holds specs (`ParamSpec`), host values or tensors, and flattens to dotted names
 * (`encoder.down.0.blocks.1.conv1.weight`), which are the names in a checkpoint.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import { stream } from '../base/rng.js';
import { float32, type HostTensors, sizeOf } from '../base/tensor.js';

/** How a leaf starts. `uniform` is U(−bound, bound); `normal` is N(mean, std²). */
export type Init =
  | { kind: 'zeros' }
  | { kind: 'ones' }
  | { kind: 'normal'; mean: number; std: number }
  | { kind: 'uniform'; bound: number };

export interface ParamSpec {
  readonly shape: readonly number[];
  readonly init: Init;
}

/** Dotted name → leaf, in the tree's own order. A leaf is whatever `isLeaf` says. */
function walk<T>(
  tree: unknown,
  isLeaf: (node: unknown) => node is T,
  visit: (name: string, leaf: T) => void,
  prefix = '',
): void {
  for (const [key, node] of Object.entries(tree as Record<string, unknown>)) {
    const name = prefix ? `${prefix}.${key}` : key;
    if (node === undefined) continue;
    if (isLeaf(node)) visit(name, node);
    else walk(node, isLeaf, visit, name);
  }
}

const isSpec = (node: unknown): node is ParamSpec =>
  typeof node === 'object' && node !== null && 'shape' in node && 'init' in node;

/** The tree's specs by dotted name. */
export function specsOf(tree: object): Record<string, ParamSpec> {
  const specs: Record<string, ParamSpec> = {};
  walk(tree, isSpec, (name, spec) => {
    specs[name] = spec;
  });
  return specs;
}

/** Number of learned values in a tree of specs. */
export function countParams(tree: object): number {
  return Object.values(specsOf(tree)).reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
}

/** Starting values; each leaf draws from a stream of its own, named by the seed and its dotted name. */
export function initialise(specs: Record<string, ParamSpec>, seed: number): HostTensors {
  const values: HostTensors = {};
  for (const [name, { shape, init }] of Object.entries(specs)) {
    const data = new Float32Array(sizeOf(shape));
    const rng = stream(seed, 'init', name);
    if (init.kind === 'ones') data.fill(1);
    else if (init.kind === 'normal')
      for (let i = 0; i < data.length; i++) data[i] = init.mean + init.std * rng.normal();
    else if (init.kind === 'uniform')
      for (let i = 0; i < data.length; i++) data[i] = init.bound * (2 * rng.uniform() - 1);
    values[name] = float32(shape, data);
  }
  return values;
}

/**
 * The tensors of `flat` whose names start with `prefix.`, in the shape of the spec tree.
 *
 * @throws Error naming the leaf that is missing or has another shape
 */
export function treeOf<P extends object>(specs: P, flat: Record<string, Tensor>, prefix = ''): TensorTree<P> {
  const build = (node: unknown, name: string): unknown => {
    if (node === undefined || typeof node === 'number') return node;
    if (isSpec(node)) {
      const tensor = flat[name];
      if (!tensor) throw new Error(`internal: no tensor for the parameter ${name}`);
      if (tensor.shape.join() !== node.shape.join()) {
        throw new Error(
          `internal: parameter ${name} has shape [${tensor.shape}] where [${node.shape}] is expected`,
        );
      }
      return tensor;
    }
    const join = (key: string | number) => (name ? `${name}.${key}` : `${key}`);
    if (Array.isArray(node)) return node.map((child, i) => build(child, join(i)));
    return Object.fromEntries(
      Object.entries(node as object).map(([key, child]) => [key, build(child, join(key))]),
    );
  };
  return build(specs, prefix) as TensorTree<P>;
}

/** A tree of specs with every spec replaced by a tensor; numbers (how many groups a norm has) stay. */
export type TensorTree<P> = P extends ParamSpec
  ? Tensor
  : P extends number
    ? P
    : P extends readonly (infer Item)[]
      ? TensorTree<Item>[]
      : { [K in keyof P]: TensorTree<P[K]> };

/** The entries under a prefix, without it. */
export function under<T>(prefix: string, record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), value]] : [],
    ),
  );
}

/** The reverse of `under`. */
export function over<T>(prefix: string, record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [`${prefix}.${name}`, value]));
}

/** What an engine needs to know of parameters: shapes and types by name. */
export const tensorSpecs = (
  params: Record<string, ParamSpec>,
): Record<string, { shape: readonly number[]; dtype: 'float32' }> =>
  Object.fromEntries(Object.entries(params).map(([name, { shape }]) => [name, { shape, dtype: 'float32' }]));
