import { chosenClasses, inProportion, inTurn } from '../../src/sample/classes.js';

const known = ['boat', 'car', 'cat'];
const first = (n: number, classOf: (image: number) => number) =>
  Array.from({ length: n }, (_, i) => classOf(i));

test('by name, in the order of the names; all where none is named', () => {
  expect(chosenClasses(['cat', 'boat'], known)).toEqual([2, 0]);
  expect(chosenClasses(undefined, known)).toEqual([0, 1, 2]);
  expect(chosenClasses(undefined, [])).toEqual([]);
});

test.each([
  ['boot', known, 'Expected one of boat, car, cat for --class but received boot. Did you mean boat?'],
  ['zebra', known, 'Expected one of boat, car, cat for --class but received zebra.'],
  [
    'cat',
    [],
    'Expected no class for --class but received cat. The run was trained without classes: those are subfolders of the training images, two or more.',
  ],
  ['zebra', Array.from({ length: 40 }, (_, i) => `c${i}`), /^Expected one of c0, .*, c29 and 10 more for/],
])('refuses %s of %j', (name, classes, message) => {
  expect(() => chosenClasses([name], classes)).toThrow(message);
});

test('in turn', () => {
  expect(first(5, inTurn([2, 0]))).toEqual([2, 0, 2, 0, 2]);
});

test('in proportion, however many images there are', () => {
  const order = first(200, inProportion([1, 0, 7, 2]));
  const counts = (n: number) =>
    [0, 1, 2, 3].map((label) => order.slice(0, n).filter((l) => l === label).length);
  expect(counts(200)).toEqual([20, 0, 140, 40]);
  for (const n of [1, 7, 33, 90]) {
    for (const [label, count] of counts(n).entries()) {
      expect(Math.abs(count - n * [0.1, 0, 0.7, 0.2][label]!)).toBeLessThan(1);
    }
  }
  expect(inProportion([1, 0, 7, 2])(150)).toBe(order[150]);
  expect(first(6, inProportion([3, 3, 3]))).toEqual([0, 1, 2, 0, 1, 2]);
});
