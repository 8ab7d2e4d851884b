/** What ONNX Runtime does by itself for float32 products: a bias that is added to one goes into it. */
import { type GraphBuilder, type Node, resultOf } from './graph.js';

/** Makes `Add` of an 8-bit product and a constant vector one node; the product alone is left for `prune`. */
export function fuseBias(graph: GraphBuilder): void {
  const products = new Map<string, Node>();
  for (const [i, node] of graph.nodes.entries()) {
    if (node.op === 'MatMulNBits') products.set(resultOf(node), node);
    if (node.op !== 'Add') continue;
    const [a = '', b = ''] = node.inputs;
    const product = products.get(a);
    const bias = graph.initializers.get(b);
    if (!product || !bias || bias.shape.at(-1) !== product.attrs.N || bias.data.length !== product.attrs.N)
      continue;
    const vector = graph.derived(bias, 'vector', () =>
      graph.constant(bias.type, [bias.data.length], bias.data),
    );
    graph.nodes[i] = { ...product, inputs: [...product.inputs, '', '', vector.name], outputs: node.outputs };
  }
}
