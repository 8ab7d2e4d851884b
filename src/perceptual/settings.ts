/** `settings.json` of `train-perceptual`: what a training began with. */
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { readRegularText } from '../base/regular-file.js';
import { type Pooling, pooling } from './trained-features.js';

export interface Settings {
  readonly data: readonly string[];
  readonly val: readonly string[];
  readonly size: number;
  readonly steps: number;
  readonly seed: number;
  readonly pooling: Pooling;
}

const schema = z.looseObject({
  data: z.array(z.string()),
  val: z.array(z.string()),
  size: z.int().positive(),
  steps: z.int().positive(),
  seed: z.int().nonnegative(),
  /** Left out by vqgen before there was a choice. */
  pooling: z.string().optional(),
});

/** @param out its folder. @throws UserError where the file is damaged, or of a version with another network */
export function readSettings(file: string, out: string): Settings {
  let settings: z.infer<typeof schema>;
  try {
    settings = schema.parse(JSON.parse(readRegularText(file, 1 << 20)));
  } catch (cause) {
    throw expected('the JSON that vqgen saved', file, 'something else', 'Train into another --out.', cause);
  }
  const { vqgen: _, ...saved } = settings;
  if (saved.pooling === pooling) return { ...saved, pooling };
  throw expected(
    'a classifier that this version of vqgen began',
    '--out',
    `${out} of another one, whose network halves images otherwise`,
    'Train into another --out; the file of a finished one can be used as it is.',
  );
}
