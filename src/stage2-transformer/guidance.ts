/**
 * Classifier-free guidance (Ho & Salimans, arXiv 2207.12598; for codes as in LlamaGen): u + s·(c − u) of the logits c
 * with a class and u without.
 */
import type { SampleConfig } from '../config/schema.js';

/**
 * How s grows from 1 at the first code, or pass, to its scale at the last; `constant`: it is the scale from the first
 * on. What is drawn first decides most of a picture, and varies more where little guides it.
 */
export type Growth = NonNullable<SampleConfig['cfg_growth']>;

const grown: Record<Growth, (done: number) => number> = {
  constant: () => 1,
  linear: (done) => done,
  cosine: (done) => (1 - Math.cos(Math.PI * done)) / 2,
};

/** s at step `step` (1-based) of `steps`, each a code or a pass. */
export function guidanceAt(
  growth: Growth,
  { scale, step, steps }: { scale: number; step: number; steps: number },
): number {
  return 1 + (scale - 1) * grown[growth](steps > 1 ? (step - 1) / (steps - 1) : 1);
}

/**
 * @param logits those with a class, and after them as many without
 * @returns u + s·(c − u), half as many
 */
export function between(logits: Float32Array, scale: number): Float32Array {
  const half = logits.length / 2;
  const without = logits.subarray(half);
  return logits.subarray(0, half).map((logit, i) => without[i]! + scale * (logit - without[i]!));
}
