import type { Node } from '../../src/engine/graph.js';
import { replaceable } from '../../src/engine/in-place.js';

const node = (name: string, ...inputs: string[]): Node => ({
  op: 'Add',
  domain: '',
  inputs,
  outputs: [name],
  attrs: {},
});

const ports = { before: (name: string) => `state/${name}`, after: (name: string) => `final/${name}` };

test('a moment is, weights that are read beside the way to their update are not', () => {
  const nodes = [
    node('product', 'x', 'state/weight'),
    node('gradient', 'product'),
    node('back', 'gradient', 'state/weight'), // nothing on the way to the update waits for it
    node('less', 'state/moment'),
    node('final/moment', 'less', 'gradient'),
    node('final/weight', 'final/moment', 'gradient'),
    node('result', 'back'),
  ];
  expect(replaceable(nodes, ['weight', 'moment'], ports)).toEqual(new Set(['moment']));
});

test('what its last node reads itself is not: it may read again what it has written', () => {
  expect(replaceable([node('final/a', 'state/a')], ['a'], ports)).toEqual(new Set());
});
