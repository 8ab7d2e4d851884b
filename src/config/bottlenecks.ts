/**
 * The kinds of bottleneck as sections of the config: a kind's keys under `stage1.bottleneck`, what its values must fit, and how many
 * channels its code takes. What a kind computes is its file in `stage1-vqgan/bottlenecks/`.
 */
import { z } from 'zod';
import { expected } from '../base/errors.js';

/** Keys of the kinds whose codes are rows of a codebook. */
const codebook = {
  /** How the decoder's gradient passes a codebook (`nearest`, `ema`, `cosine`). */
  gradient: z.enum(['straight-through', 'rotation']).default('straight-through'),
};

const ema = {
  /** `ema`: what a step keeps of counts and sums. */
  decay: z.number().min(0).lt(1).default(0.99),
};

const fsq = {
  /** `fsq`: values that each number of a code may take; their product is `codes`. */
  levels: z.array(z.int().min(2)).min(1).default([8, 6, 5]),
};

const lfq = {
  /** `lfq`: weight of both entropy terms. */
  entropy_weight: z.number().nonnegative().default(0.1),
  /** `lfq`: divides squared distances where the entropy terms need shares of codes. */
  temperature: z.number().positive().default(1),
};

export const bottleneck = z.strictObject({
  /** `nearest`: codes learned by gradient; `ema`: as running averages; `cosine`: nearest by angle; `fsq`, `lfq`: points of a fixed grid; `gumbel`: the code of the highest score, imported only. */
  kind: z.enum(['nearest', 'ema', 'cosine', 'fsq', 'lfq', 'gumbel']).default('nearest'),
  ...codebook,
  ...ema,
  ...fsq,
  ...lfq,
});

type Kind = z.output<typeof bottleneck>['kind'];

/** What the checks look at of `stage1`. */
interface Stage1 {
  readonly bottleneck: z.output<typeof bottleneck>;
  readonly codes: number;
  readonly embed_dim: number;
  readonly accumulate: number;
}

interface Section {
  /** D: channels between encoder and decoder. */
  width(stage1: Pick<Stage1, 'bottleneck' | 'codes' | 'embed_dim'>): number;
  /** @throws UserError naming the key to change */
  check?(stage1: Stage1): void;
}

/** Codes are computed in float32, exact up to here. */
const mostGridCodes = 2 ** 20;

const byWidth: Section = { width: ({ embed_dim }) => embed_dim };

const sections: Record<Kind, Section> = {
  nearest: byWidth,
  cosine: byWidth,
  gumbel: byWidth,

  ema: {
    ...byWidth,
    check({ accumulate }) {
      if (accumulate === 1) return;
      throw expected(
        '1',
        'stage1.accumulate',
        `${accumulate}, because codes that are averages follow a whole batch`,
        'Take a smaller stage1.batch_size, or another stage1.bottleneck.kind.',
      );
    },
  },

  fsq: {
    width: ({ bottleneck }) => bottleneck.levels.length,
    check({ bottleneck, codes }) {
      const { levels } = bottleneck;
      const made = product(levels);
      if (made > mostGridCodes) {
        throw expected(
          `levels with a product of at most ${mostGridCodes}`,
          'stage1.bottleneck.levels',
          `${levels.join(' × ')} = ${made}`,
          'Leave some out or make them smaller.',
        );
      }
      if (codes !== made) {
        throw expected(
          `${made} (${levels.join(' × ')})`,
          'stage1.codes',
          codes,
          `With fsq the levels make the codes: try --set stage1.codes=${made}, or other stage1.bottleneck.levels.`,
        );
      }
      refuseRotation(bottleneck);
    },
  },

  lfq: {
    width: ({ codes }) => bitsOf(codes),
    check({ bottleneck, codes }) {
      if (codes < 2 || codes > mostGridCodes || !Number.isInteger(Math.log2(codes))) {
        const near = 2 ** Math.min(20, Math.max(1, bitsOf(codes)));
        throw expected(
          `a power of two from 2 to ${mostGridCodes}`,
          'stage1.codes',
          codes,
          `With lfq each bit is a number of the code: try --set stage1.codes=${near}.`,
        );
      }
      refuseRotation(bottleneck);
    },
  },
};

function refuseRotation({ kind, gradient }: Stage1['bottleneck']): void {
  if (gradient !== 'rotation') return;
  throw expected(
    'straight-through',
    'stage1.bottleneck.gradient',
    gradient,
    `Rotation needs a codebook, which ${kind} has not: leave one of the two out.`,
  );
}

/** @throws UserError naming the key to change */
export const checkBottleneck = (stage1: Stage1): void => sections[stage1.bottleneck.kind].check?.(stage1);

export const codeWidth = (stage1: Pick<Stage1, 'bottleneck' | 'codes' | 'embed_dim'>): number =>
  sections[stage1.bottleneck.kind].width(stage1);

export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);

/** Bits of a code of `codes`, a power of two. */
export const bitsOf = (codes: number): number => Math.round(Math.log2(codes));
