import { nearest } from '../../src/base/nearest.js';

test.each([
  ['stpes', ['steps', 'set'], 'steps'],
  ['Steps', ['set', 'steps'], 'steps'],
  ['tokenise', ['tokenize', 'sample'], 'tokenize'],
  ['n', ['m'], undefined],
  ['frobnicate', ['train', 'sample'], undefined],
  ['', ['n'], undefined],
])('%s among %j', (word, candidates, near) => {
  expect(nearest(word, candidates)).toBe(near);
});
