/** Numbers of 16 bits: IEEE 754 half precision (1 sign, 5 exponent and 10 fraction bits) and bfloat16. */

/** How weights are stored in a file; what is computed with them is float32 either way. */
export type StoredPrecision = 'f32' | 'f16';

/** The largest number that half precision holds. */
export const largestHalf = 65504;

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** The bits of the nearest half of each number, the even one of two; beyond the largest: infinity. */
export function toHalf(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    word[0] = value;
    const sign = (bits[0]! >>> 16) & 0x8000;
    const size = bits[0]! & 0x7fffffff;
    if (size > 0x7f800000) return sign | 0x7e00; // not a number
    if (size >= 0x477ff000) return sign | 0x7c00; // rounds to 2¹⁶ or more
    // Below 2⁻¹⁴ halves are multiples of 2⁻²⁴: 0.5 has these as its last bits.
    if (size < 0x38800000) {
      word[0] = Math.abs(value) + 0.5;
      return sign | (bits[0]! - 0x3f000000);
    }
    const odd = (size >>> 13) & 1;
    return sign | ((size - 0x38000000 + 0xfff + odd) >>> 13);
  });
}

/** Whether no number becomes infinite. */
export const fitsHalf = (values: Float32Array): boolean =>
  !values.some((value) => Math.abs(value) > largestHalf);

/** Their bits → numbers. */
export function fromHalf(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = (half & 0x3ff) / 1024;
    if (exponent === 0) return sign * fraction * 2 ** -14;
    if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (1 + fraction) * 2 ** (exponent - 15);
  });
}

/** bfloat16, the upper half of a float32 → float32. */
export function fromBfloat(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
