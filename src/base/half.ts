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
  const values = new Float32Array(halves.length);
  const wide = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const sign = (halves[i]! & 0x8000) << 16;
    const size = halves[i]! & 0x7fff;
    if (size >= 0x7c00) wide[i] = sign | 0x7f800000 | ((size & 0x3ff) << 13);
    else if (size >= 0x400) wide[i] = sign | ((size + 0x1c000) << 13);
    else values[i] = (sign ? -size : size) * 2 ** -24;
  }
  return values;
}

/** bfloat16, the upper half of a float32 → float32. */
export function fromBfloat(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
