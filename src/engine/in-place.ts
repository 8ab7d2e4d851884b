/** Which tensors of a step's state may be written over while it runs. */
import { must } from '../base/lookup.js';
import type { Node } from './graph.js';

/**
 * Those of `names` whose new value (`after`) is computed when nothing reads the old one (`before`) any more: all nodes
 * that read it are ones that the last node to the new value waits for. Optimiser moments are, weights are not: the way
 * back through their layer reads them, too.
 */
export function replaceable(
  nodes: readonly Node[],
  names: readonly string[],
  { before, after }: { before: (name: string) => string; after: (name: string) => string },
): Set<string> {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const readers = new Map<string, Node[]>();
  for (const node of nodes)
    for (const input of node.inputs) readers.set(input, [...(readers.get(input) ?? []), node]);
  return new Set(
    names.filter((name) => {
      const waited = waitedFor(must(makers.get(after(name)), after(name)), makers);
      return (readers.get(before(name)) ?? []).every((node) => waited.has(node));
    }),
  );
}

/** All nodes that must have run before `end`. */
function waitedFor(end: Node, makers: ReadonlyMap<string, Node>): Set<Node> {
  const found = new Set<Node>();
  const todo = [end];
  for (let node = todo.pop(); node; node = todo.pop()) {
    for (const input of node.inputs) {
      const maker = makers.get(input);
      if (!maker || found.has(maker)) continue;
      found.add(maker);
      todo.push(maker);
    }
  }
  return found;
}
