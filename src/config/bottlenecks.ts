/**
 * The kinds of bottleneck as sections of the config: a kind's keys under `stage1.bottleneck`, what its values must
 * fit, and how many channels its code takes. What a kind computes is its file in `stage1-vqgan/bottlenecks/`.
 */
import * as z from 'zod';
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

const ofGrid = z.array(z.int().min(2)).min(1).max(64);

/** A level of a `hierarchy`. */
const level = z.strictObject({
  kind: z.enum(['nearest', 'ema', 'cosine', 'fsq', 'lfq']).default('ema'),
  /** null: `stage1.codes`; of `fsq`: what its levels make. */
  codes: z.int().positive().nullable().default(null),
  /** null: `stage1.embed_dim`. */
  embed_dim: z.int().positive().nullable().default(null),
  levels: ofGrid.default([8, 6, 5]),
});

const levels = {
  /**
   * `fsq`: values that each number of a code may take; their product is `codes`. `hierarchy`: two or three levels, the
   * top first.
   */
  levels: z.union([ofGrid, z.array(level).min(1)]).default([8, 6, 5]),
};

/** What `levels` is for a `hierarchy` unless it is given. */
export const plainLevels = [{}, {}];

const lfq = {
  /** `lfq`: weight of both entropy terms. */
  entropy_weight: z.number().nonnegative().default(0.1),
  /** `lfq`: divides squared distances where the entropy terms need shares of codes. */
  temperature: z.number().positive().default(1),
};

/** Keys of the kinds whose latent is numbers. */
const numbers = {
  /** `none`, `gaussian`: `grid`, `embed_dim` numbers at each position; `vector`, `latent_dim` numbers an image. */
  shape: z.enum(['grid', 'vector']).default('grid'),
  latent_dim: z.int().positive().default(64),
};

const gaussian = {
  /** `gaussian`: weight of the KL, 1 being that of the bound on the likelihood where `stage1.pixel` is `nll`. */
  kl_weight: z.number().nonnegative().default(1),
  /** `gaussian`: steps over which the KL's weight rises from 0. */
  kl_warmup: z.int().nonnegative().default(0),
  /** `gaussian`: nats of a unit's KL that cost nothing. */
  free_bits: z.number().nonnegative().default(0),
  /** `gaussian`: whether each class has a mean of its own: a CVAE. */
  class_means: z.boolean().default(false),
  /** Names of the classes; filled in by train-stage1 from the subfolders. */
  classes: z.array(z.string()).default([]),
};

export const bottleneck = z.strictObject({
  /**
   * `nearest`: codes learned by gradient; `ema`: as running averages; `cosine`: nearest by angle; `fsq`, `lfq`: points
   * of a fixed grid; `hierarchy`: codes on two or three grids; `gumbel`: the code of the highest score, imported only;
   * `none`: an autoencoder; `gaussian`: a VAE.
   */
  kind: z
    .enum(['nearest', 'ema', 'cosine', 'fsq', 'lfq', 'hierarchy', 'gumbel', 'none', 'gaussian'])
    .default('nearest'),
  ...codebook,
  ...ema,
  ...levels,
  ...lfq,
  ...numbers,
  ...gaussian,
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
  check?(stage1: Stage1, keys: Keys): void;
}

/** Where a user reads and changes what a check is about. */
interface Keys {
  readonly codes: string;
  readonly levels: string;
  /** So many codes, as a suggestion. */
  give(codes: number): string;
}

const keysOfStage: Keys = {
  codes: 'stage1.codes',
  levels: 'stage1.bottleneck.levels',
  give: (codes) => `--set stage1.codes=${codes}`,
};

const keysOfLevel = (name: string): Keys => ({
  codes: `codes of the ${name} level in stage1.bottleneck.levels`,
  levels: `levels of the ${name} level in stage1.bottleneck.levels`,
  give: (codes) => `codes: ${codes}`,
});

/** Codes are computed in float32, exact up to here. */
const mostGridCodes = 2 ** 20;

const byWidth: Section = { width: ({ embed_dim }) => embed_dim };

const sections: Record<Kind, Section> = {
  nearest: byWidth,
  cosine: byWidth,
  gumbel: byWidth,
  none: byWidth,

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

  gaussian: {
    ...byWidth,
    check({ bottleneck: { class_means, classes } }) {
      if (!class_means && classes.length > 0) {
        throw expected(
          'no names',
          'stage1.bottleneck.classes',
          classes.join(', '),
          'Classes have means of their own with stage1.bottleneck.class_means true.',
        );
      }
    },
  },

  fsq: {
    width: ({ bottleneck }) => gridLevels(bottleneck).length,
    check({ bottleneck, codes }, keys) {
      const { levels } = bottleneck;
      if (!isGrid(levels))
        throw expected('whole numbers', keys.levels, 'the levels of a hierarchy', 'For example [8, 6, 5].');
      const made = product(levels);
      if (made > mostGridCodes) {
        throw expected(
          `levels with a product of at most ${mostGridCodes}`,
          keys.levels,
          `${levels.join(' × ')} = ${made}`,
          'Leave some out or make them smaller.',
        );
      }
      if (codes !== made) {
        throw expected(
          `${made} (${levels.join(' × ')})`,
          keys.codes,
          codes,
          `With fsq the levels make the codes: try ${keys.give(made)}, or other ${keys.levels}.`,
        );
      }
      refuseRotation(bottleneck);
    },
  },

  lfq: {
    width: ({ codes }) => bitsOf(codes),
    check({ bottleneck, codes }, keys) {
      if (codes < 2 || codes > mostGridCodes || !Number.isInteger(Math.log2(codes))) {
        const near = 2 ** Math.min(20, Math.max(1, bitsOf(codes)));
        throw expected(
          `a power of two from 2 to ${mostGridCodes}`,
          keys.codes,
          codes,
          `With lfq each bit is a number of the code: try ${keys.give(near)}.`,
        );
      }
      refuseRotation(bottleneck);
    },
  },

  hierarchy: {
    width: (stage1) => levelsOf(stage1).reduce((width, level) => width + codeWidth(level.stage1), 0),
    check(stage1) {
      const { levels } = stage1.bottleneck;
      if (isGrid(levels) || levels.length < 2 || levels.length > 3)
        throw expected(
          'two or three sections, the top level first,',
          'stage1.bottleneck.levels',
          isGrid(levels) ? JSON.stringify(levels) : levels.length,
          'For example [{ kind: ema, codes: 512 }, { kind: fsq, levels: [8, 6, 5] }].',
        );
      for (const { name, stage1: level } of levelsOf(stage1))
        sections[level.bottleneck.kind].check?.(level, keysOfLevel(name));
    },
  },
};

type Levels = Stage1['bottleneck']['levels'];

/** `fsq`'s reading of `levels`. */
const isGrid = (levels: Levels): levels is number[] => typeof levels[0] === 'number';

/** How many values each number of a code has. */
export function gridLevels({ levels }: Pick<Stage1['bottleneck'], 'levels'>): number[] {
  if (!isGrid(levels)) throw new Error('internal: levels of a hierarchy where those of fsq are expected');
  return levels;
}

/**
 * The levels of a hierarchy, the top first: the name of each one's grid, and its config as that of a tokenizer with
 * one grid.
 */
export function levelsOf<S extends Pick<Stage1, 'bottleneck' | 'codes' | 'embed_dim'>>(
  stage1: S,
): { name: string; stage1: S }[] {
  const { levels } = stage1.bottleneck;
  if (isGrid(levels)) throw new Error('internal: levels of fsq where those of a hierarchy are expected');
  const names = levels.length === 2 ? ['top', 'bottom'] : ['top', 'middle', 'bottom'];
  return levels.map(({ kind, codes, embed_dim, levels }, i) => ({
    name: names[i]!,
    stage1: {
      ...stage1,
      codes: codes ?? (kind === 'fsq' ? product(levels) : stage1.codes),
      embed_dim: embed_dim ?? stage1.embed_dim,
      bottleneck: { ...stage1.bottleneck, kind, levels },
    },
  }));
}

/** K of each grid. */
export const vocabularies = (stage1: Stage1): number[] =>
  stage1.bottleneck.kind === 'hierarchy'
    ? levelsOf(stage1).map((level) => level.stage1.codes)
    : [stage1.codes];

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
export const checkBottleneck = (stage1: Stage1): void =>
  sections[stage1.bottleneck.kind].check?.(stage1, keysOfStage);

export const codeWidth = (stage1: Pick<Stage1, 'bottleneck' | 'codes' | 'embed_dim'>): number =>
  sections[stage1.bottleneck.kind].width(stage1);

export const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1);

/** Bits of a code of `codes`, a power of two. */
export const bitsOf = (codes: number): number => Math.round(Math.log2(codes));
