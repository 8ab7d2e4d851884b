/** How codes are drawn: what a call says, else what the run's config says. */
import { expected } from '../base/errors.js';
import type { Config, SampleConfig } from '../config/schema.js';
import type { Choice } from '../stage2-transformer/choose.js';
import type { Passes } from '../stage2-transformer/passes.js';
import type { Prior } from '../stage2-transformer/prior.js';
import type { DrawingOptions } from './source.js';

/** How strongly a class acts. @throws UserError where the prior cannot draw without class beside with */
export function guidanceOf(given: number | undefined, config: Config, classes: readonly string[]): number {
  const scale = given ?? config.sample.cfg_scale;
  if (!(scale >= 0 && scale < Number.POSITIVE_INFINITY)) {
    throw expected('a number of at least 0', '--cfg-scale', scale, '1 is no guidance.');
  }
  if (scale === 1 || (classes.length === 0 && given === undefined)) return 1;
  const next = 'Guidance goes from what a prior draws without class to what it draws with one.';
  if (classes.length === 0) {
    throw expected('1', '--cfg-scale', `${scale}, where the prior was trained without classes`, next);
  }
  if (config.prior.class_dropout === 0) {
    throw expected('1', '--cfg-scale', `${scale}, where prior.class_dropout was 0`, next);
  }
  return scale;
}

/** @param codes of the largest vocabulary. @throws UserError for what is out of range */
export function choiceOf(
  o: Pick<DrawingOptions, 'temperature' | 'topK' | 'topP'>,
  defaults: { temperature: number; top_k: number; top_p: number },
  codes: number,
): Choice {
  const { temperature = defaults.temperature, topK = defaults.top_k, topP = defaults.top_p } = o;
  if (!(temperature > 0))
    throw expected(
      'a number above 0',
      '--temperature',
      temperature,
      'Near 0 always draws the likeliest code.',
    );
  if (!Number.isInteger(topK) || topK < 0 || topK > codes) {
    throw expected(`a whole number from 0 to ${codes}`, '--top-k', topK, '0 draws among all codes.');
  }
  if (!(topP > 0 && topP <= 1)) {
    throw expected('a number above 0 and up to 1', '--top-p', topP, '1 draws among all codes.');
  }
  return { temperature, topK, topP };
}

const ofPasses = {
  decodeSteps: '--decode-steps',
  order: '--order',
  choiceTemperature: '--choice-temperature',
  revise: '--revise',
} as const;

/**
 * The passes of a prior that draws anywhere; of another there are none.
 *
 * @throws UserError for what is out of range, and for what is said of passes to a prior without
 */
export function passesOf(
  o: Pick<DrawingOptions, keyof typeof ofPasses>,
  defaults: SampleConfig,
  { draws }: Pick<Prior, 'draws'>,
): Passes | undefined {
  if (draws === 'in order') {
    for (const [key, option] of Object.entries(ofPasses)) {
      const given = o[key as keyof typeof ofPasses];
      if (given === undefined) continue;
      const next = 'This prior draws one code after another; those of prior.kind maskgit draw in passes.';
      throw expected('nothing', option, given, next);
    }
    return undefined;
  }
  const {
    decodeSteps: steps = defaults.decode_steps,
    choiceTemperature: noise = defaults.choice_temperature,
  } = o;
  const { order = defaults.order, revise = defaults.revise } = o;
  if (!Number.isInteger(steps) || steps < 1)
    throw expected('a whole number above 0', ofPasses.decodeSteps, steps);
  if (order !== 'confidence' && order !== 'halton')
    throw expected('confidence or halton', ofPasses.order, order);
  if (!(noise >= 0 && noise < Number.POSITIVE_INFINITY))
    throw expected(
      'a number of at least 0',
      ofPasses.choiceTemperature,
      noise,
      '0 leaves nothing to chance.',
    );
  if (!(revise >= 0 && revise < 1))
    throw expected('a number of at least 0 and below 1', ofPasses.revise, revise, '0 keeps what is drawn.');
  return { steps, order, noise, revise, guidance: defaults.cfg_schedule };
}
