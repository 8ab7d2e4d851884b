import { largestHalf, toHalf } from '../../src/base/half.js';

/** By the definition of the format. */
function fromHalf(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const half = (x: number): number => toHalf(Float32Array.of(x))[0]!;

test('every half stays what it is', () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter(
    (bits) => !Number.isNaN(fromHalf(bits)),
  );
  expect(toHalf(Float32Array.from(all, fromHalf))).toEqual(all);
  expect(fromHalf(half(Number.NaN))).toBeNaN();
});

test('between two halves the nearer one, in the middle the even one', () => {
  for (const low of [0, 1, 2, 1023, 1024, 0x3bff, 0x3c00, 0x3c01, 0x7bfe]) {
    const [a, b] = [fromHalf(low), fromHalf(low + 1)];
    const middle = (a + b) / 2; // exact in float32
    const step = (b - a) / 64;
    for (const sign of [1, -1]) {
      expect(fromHalf(half(sign * (middle - step)))).toBe(sign * a);
      expect(fromHalf(half(sign * (middle + step)))).toBe(sign * b);
      expect(Math.abs(fromHalf(half(sign * middle)))).toBe(low % 2 === 0 ? a : b);
    }
  }
});

test('beyond the largest one lies infinity', () => {
  expect(fromHalf(half(largestHalf + 15))).toBe(largestHalf);
  expect(fromHalf(half(largestHalf + 16))).toBe(Number.POSITIVE_INFINITY);
  expect(fromHalf(half(-1e30))).toBe(Number.NEGATIVE_INFINITY);
  expect(fromHalf(half(1e-9))).toBe(0);
});
