/** How many codes a bottleneck has, and how long each is. */
import type { Stage1Config } from './schema.js';

type Codes = Pick<Stage1Config, 'bottleneck' | 'codes' | 'embed_dim'>;

/**
 * For each value of a code how many levels it may take, where codes are the points of a grid (`fsq`: the levels of the
 * config; `lfq`: two for each bit of K); undefined where they are rows of a codebook.
 */
export function gridOf({ bottleneck, codes }: Omit<Codes, 'embed_dim'>): readonly number[] | undefined {
  if (bottleneck.kind === 'fsq') return bottleneck.levels;
  if (bottleneck.kind === 'lfq') return new Array<number>(Math.round(Math.log2(codes))).fill(2);
  return undefined;
}

export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);

/** D: values of a code, channels between encoder and decoder. */
export const codeWidth = (config: Codes): number => gridOf(config)?.length ?? config.embed_dim;

export const hasCodebook = (config: Omit<Codes, 'embed_dim'>): boolean => gridOf(config) === undefined;
