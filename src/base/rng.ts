/**
 * Seeded random numbers without state that needs saving: a stream is named by its seed and keys
 * (`stream(seed, 'order', epoch)`), so whatever depends on randomness depends only on the seed and the step.
 *
 * The generator is sfc32 (C. Doty-Humphrey, PractRand), its state filled by the 32-bit finaliser of MurmurHash3.
 */
export interface Rng {
  /** Uniform in [0, 1), 32 bits of resolution. */
  uniform(): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
  /** Uniform whole number in [0, n). */
  below(n: number): number;
}

export type Key = number | string;

export function stream(...keys: readonly Key[]): Rng {
  const h = hash(keys);
  let a = mix(h ^ 0x9e3779b9);
  let b = mix(h ^ 0x243f6a88);
  let c = mix(h ^ 0xb7e15162);
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) next();

  const uniform = (): number => next() / 4294967296;
  let spare: number | undefined;
  return {
    uniform,
    below: (n) => Math.floor(uniform() * n),
    normal: () => {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}

/** A permutation of 0 … n−1 (Fisher-Yates). */
export function permutation(n: number, rng: Rng): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}

/** 32 bits that depend on every key and their order. */
export function hash(keys: readonly Key[]): number {
  let h = 0x811c9dc5;
  for (const key of keys) {
    for (const ch of `${typeof key}:${key};`) h = mix(h ^ (ch.codePointAt(0) ?? 0));
  }
  return h >>> 0;
}

function mix(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
