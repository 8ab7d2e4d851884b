import { cacheLengths } from '../../src/stage2-transformer/key-value-cache.js';

test('at most four lengths, the last with room for all', () => {
  expect(cacheLengths(256)).toEqual([64, 128, 192, 256]);
  expect(cacheLengths(10)).toEqual([3, 5, 8, 10]);
  expect(cacheLengths(1)).toEqual([1]);
});
