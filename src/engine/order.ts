/** The order in which a graph's nodes are written, by which ONNX Runtime chooses the order in which it runs them. */
import type { Node } from './graph.js';

/**
 * By depth, results that nothing reads behind all others, as they were among themselves. ONNX Runtime goes from those
 * backwards and computes what is written later first: so the way to a gradient comes before what is at hand anyway (a
 * transformed filter, a mask), which would lie in memory meanwhile.
 */
export function byDepth(nodes: readonly Node[]): Node[] {
  const depths = new Map<string, number>();
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const placed = nodes.map((node) => {
    const depth = 1 + node.inputs.reduce((most, name) => Math.max(most, depths.get(name) ?? 0), 0);
    for (const name of node.outputs) depths.set(name, depth);
    return { node, depth: node.outputs.some((name) => read.has(name)) ? depth : nodes.length + 1 };
  });
  return placed.sort((a, b) => a.depth - b.depth).map(({ node }) => node);
}
