import { between, guidanceAt } from '../../src/stage2-transformer/guidance.js';

test('guidance grows from 1 to its scale', () => {
  const over = (growth: Parameters<typeof guidanceAt>[0], steps = 3) =>
    Array.from({ length: steps }, (_, i) => guidanceAt(growth, { scale: 3, step: i + 1, steps }));
  expect(over('linear')).toEqual([1, 2, 3]);
  expect(over('constant')).toEqual([3, 3, 3]);
  const [first, second, fourth, last] = [0, 1, 3, 4].map((i) => over('cosine', 5)[i]);
  expect([first, last]).toEqual([1, 3]);
  expect(second).toBeCloseTo(1 + (1 - Math.SQRT1_2));
  expect(fourth).toBeCloseTo(3 - (1 - Math.SQRT1_2));
  expect(over('linear', 1)).toEqual([3]);
});

test('u + s·(c − u)', () => {
  expect([...between(Float32Array.of(1, 4, 3, 3), 3)]).toEqual([-3, 6]);
});
