/**
 * The kinds of prior as sections of the config: a kind's keys under `prior`, and what its values must fit. What a
 * kind computes is its folder in `stage2-transformer/`.
 */
import { z } from 'zod';
import { expected } from '../base/errors.js';

const count = z.int().positive();

const gpt = {
  layers: count.default(4),
  heads: count.default(8),
  width: count.default(256),
  dropout: z.number().min(0).lt(1).default(0.1),
  /** Share of the input codes kept; the others are replaced by random ones (training only). */
  pkeep: z.number().gt(0).max(1).default(1),
};

export const priorKinds = {
  /** `gpt`: a transformer that reads the codes one after another. */
  kind: z.enum(['gpt']).default('gpt'),
  ...gpt,
};

type Prior = z.output<z.ZodObject<typeof priorKinds>>;

/** @throws UserError naming the key to change */
const checks: Record<Prior['kind'], (prior: Prior) => void> = {
  gpt({ width, heads }) {
    if (width % heads === 0) return;
    throw expected(
      `a divisor of prior.width (${width})`,
      'prior.heads',
      heads,
      `Try --set prior.heads=${nearestDivisor(width, heads)}.`,
    );
  },
};

/** @throws UserError naming the key to change */
export const checkPriorKind = (prior: Prior): void => checks[prior.kind](prior);

export function nearestDivisor(of: number, wanted: number): number {
  const divisors = Array.from({ length: of }, (_, i) => i + 1).filter((n) => of % n === 0);
  return divisors.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
}
