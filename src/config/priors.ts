/**
 * The kinds of prior as sections of the config: a kind's keys under `prior`, and what its values must fit. What a
 * kind computes is its folder in `stage2-transformer/`.
 */
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { conditionSection } from './conditions.js';

const count = z.int().positive();

/** What every kind has; `sizesOf` says where a kind's own defaults differ. */
const shared = {
  layers: count.max(1024).default(4),
  width: count.default(256),
  dropout: z.number().min(0).lt(1).default(0.1),
  /** Of the attention. */
  heads: count.default(8),
};

const blocks = {
  /** Of the blocks of `gpt` and `maskgit`: LayerNorm or RMSNorm. */
  norm: z.enum(['layer', 'rms']).default('layer'),
  /** Its hidden units; `swiglu` has gates for ⅔ as many. */
  mlp: z.enum(['gelu', 'swiglu', 'relu2']).default('relu2'),
  /** RMSNorm of each head's queries and keys. */
  qk_norm: z.boolean().default(false),
  /** A learned vector for each place, or rotations of queries and keys by row and column. */
  positions: z.enum(['learned', 'rope']).default('learned'),
};

const gpt = {
  /** `gpt`: share of the input codes kept; the others are replaced by random ones (training only). */
  pkeep: z.number().gt(0).max(1).default(1),
  /** `gpt`: `annealed` is trained in random orders at first, and by rows at last (RAR). */
  order: z.enum(['raster', 'annealed']).default('raster'),
  /**
   * `gpt`: what a sequence begins with: a token of its own, or the first code that is told, as published conditional
   * transformers have it.
   */
  start: z.enum(['token', 'told']).default('token'),
};

const pixelcnn = {
  /** `pixelcnn`: layers after each of which an attention stands; 0: none. */
  attention_every: z.int().nonnegative().default(0),
};

const maskgit = {
  /** `maskgit`: share of masked cells by how far drawing has come, in training as in drawing. */
  mask_schedule: z.enum(['cosine', 'linear', 'square', 'arccos']).default('cosine'),
  /** `maskgit`: share of the target that all codes have alike. */
  label_smoothing: z.number().min(0).lt(1).default(0.1),
  /**
   * `maskgit`: of the codes that training leaves visible up to this share is replaced by wrong ones, which it learns
   * to doubt.
   */
  substitute: z.number().min(0).lt(1).default(0),
};

export const priorKinds = {
  /**
   * `gpt`: a transformer that reads codes one after another; `pixelcnn`: masked convolutions over rows and columns;
   * `maskgit`: a transformer that fills masked codes from all others.
   */
  kind: z.enum(['gpt', 'pixelcnn', 'maskgit']).default('gpt'),
  condition: conditionSection.prefault({}),
  ...shared,
  ...blocks,
  ...gpt,
  ...pixelcnn,
  ...maskgit,
};

/** Defaults of a kind in place of the schema's, which are those of GPT. */
export function sizesOf(kind: unknown): Record<string, number> | undefined {
  const sizes: Record<Prior['kind'], Record<string, number>> = {
    gpt: {},
    pixelcnn: { layers: 8, width: 96 },
    maskgit: {},
  };
  return typeof kind === 'string' && Object.hasOwn(sizes, kind) ? sizes[kind as Prior['kind']] : undefined;
}

type Prior = z.output<z.ZodObject<typeof priorKinds>>;

/** @throws UserError naming the key to change */
const checks: Record<Prior['kind'], (prior: Prior) => void> = {
  gpt(prior) {
    checkTransformer(prior);
    checkStart(prior);
  },
  pixelcnn(prior) {
    if (prior.attention_every > prior.layers) {
      throw expected(
        `at most prior.layers (${prior.layers})`,
        'prior.attention_every',
        prior.attention_every,
        '0 is without attention.',
      );
    }
    if (prior.attention_every > 0) checkHeads(prior);
  },
  maskgit: checkTransformer,
};

function checkTransformer(prior: Prior): void {
  checkHeads(prior);
  checkRotations(prior);
}

/** A sequence that begins with what is told says nothing else first. */
function checkStart({ start, condition, order }: Prior): void {
  if (start === 'token') return;
  const why = 'With prior.start told a sequence begins with the first code that is told.';
  if (condition.kind === 'none')
    throw expected('edges, lowres, palette or maps', 'prior.condition.kind', 'none', why);
  if (order !== 'raster') throw expected('raster', 'prior.order', order, why);
}

function checkHeads({ width, heads }: Prior): void {
  if (width % heads === 0) return;
  throw expected(
    `a divisor of prior.width (${width})`,
    'prior.heads',
    heads,
    `Try --set prior.heads=${nearestDivisor(width, heads)}.`,
  );
}

/** Rotations act on pairs of a head's numbers, half of the pairs by row and half by column. */
function checkRotations({ positions, width, heads }: Prior): void {
  if (positions !== 'rope' || (width / heads) % 4 === 0) return;
  const why = 'With prior.positions rope a head has a multiple of 4 numbers:';
  if (width % 4 !== 0)
    throw expected('a multiple of 4', 'prior.width', width, `${why} try ${4 * Math.ceil(width / 4)}.`);
  throw expected(
    `a divisor of a quarter of prior.width (${width / 4})`,
    'prior.heads',
    heads,
    `${why} try --set prior.heads=${nearestDivisor(width / 4, heads)}.`,
  );
}

/** Which kinds have the keys that not all of them have. */
const kindsOf: readonly (readonly [Prior['kind'][], Record<string, z.ZodType>])[] = [
  [['gpt', 'maskgit'], blocks],
  [['gpt'], gpt],
  [['pixelcnn'], pixelcnn],
  [['maskgit'], maskgit],
];

/** Keys that only other kinds have. */
function* foreignTo(kind: Prior['kind']): Generator<[key: keyof Prior, type: z.ZodType, kinds: string]> {
  for (const [kinds, keys] of kindsOf)
    if (!kinds.includes(kind))
      for (const [key, type] of Object.entries(keys)) yield [key as keyof Prior, type, kinds.join(' and ')];
}

/** Keys that this kind has not are left out. */
export function withoutForeign(kind: unknown, prior: Record<string, unknown>): Record<string, unknown> {
  const left = new Set<string>(Array.from(foreignTo(kind as Prior['kind']), ([key]) => key));
  return Object.fromEntries(Object.entries(prior).filter(([key]) => !left.has(key)));
}

/** What is written for another kind, its sizes and keys that this kind has not, is left out. */
export function ofAnotherKind(kind: unknown, prior: Record<string, unknown>): Record<string, unknown> {
  const { layers: _, width: __, ...others } = withoutForeign(kind, prior);
  return others;
}

/** @throws UserError for a value of a key that only other kinds have */
function checkKeys(prior: Prior): void {
  for (const [key, type, kinds] of foreignTo(prior.kind)) {
    const [given, usual] = [prior[key], type.parse(undefined)];
    if (given === usual) continue;
    const next = `With prior.kind ${prior.kind} nothing comes of it; it is of ${kinds}.`;
    throw expected(`its default ${usual}`, `prior.${key}`, given, next);
  }
}

/** @throws UserError naming the key to change */
export function checkPriorKind(prior: Prior): void {
  checkKeys(prior);
  checks[prior.kind](prior);
}

/** The smaller of two that are as near. */
export function nearestDivisor(of: number, wanted: number): number {
  let best = 1;
  const away = (n: number): number => Math.abs(n - wanted);
  for (let n = 1; n * n <= of; n++) {
    if (of % n !== 0) continue;
    for (const divisor of [n, of / n])
      if (away(divisor) < away(best) || (away(divisor) === away(best) && divisor < best)) best = divisor;
  }
  return best;
}
