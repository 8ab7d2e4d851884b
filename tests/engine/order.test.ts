import type { Node } from '../../src/engine/graph.js';
import { byDepth } from '../../src/engine/order.js';

const node = (name: string, ...inputs: string[]): Node => ({
  op: 'Add',
  domain: '',
  inputs,
  outputs: [name],
  attrs: {},
});

test('what is at hand is written before what takes long to reach, results behind all, as they were', () => {
  const nodes = [
    node('way', 'x'),
    node('result', 'way', 'x'),
    node('far', 'way'),
    node('further', 'far'),
    node('at hand', 'weight'),
    node('product', 'further', 'at hand'),
    node('other result', 'at hand'),
    node('last', 'product'),
  ];
  const order = byDepth(nodes).map(({ outputs }) => outputs[0]);
  expect(order).toEqual(['way', 'at hand', 'far', 'further', 'product', 'result', 'other result', 'last']);
});
