/** How codes are drawn: what a call says, else what the run's config says. */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import type { Choice } from '../stage2-transformer/choose.js';
import type { Growth } from '../stage2-transformer/guidance.js';
import type { Passes } from '../stage2-transformer/passes.js';
import type { Condition, Prior } from '../stage2-transformer/prior.js';
import { type DrawingOptions, drawingOptions, type Settings } from './source.js';

/** How strongly a class acts. @throws UserError where the prior cannot draw without class beside with */
export function guidanceOf(given: number | undefined, config: Config, { classes, grids }: Condition): number {
  const told = classes.length + grids.length > 0;
  const scale = given ?? config.sample.cfg_scale;
  if (!(scale >= 0 && scale < Number.POSITIVE_INFINITY)) {
    throw expected('a number of at least 0', '--cfg-scale', scale, '1 is no guidance.');
  }
  if (scale === 1 || (given === undefined && (!told || config.prior.class_dropout === 0))) return 1;
  const next = 'Guidance goes from what a prior draws without class to what it draws with one.';
  if (!told) {
    throw expected('1', '--cfg-scale', `${scale}, where the prior was trained without classes`, next);
  }
  if (config.prior.class_dropout === 0) {
    throw expected('1', '--cfg-scale', `${scale}, where prior.class_dropout was 0`, next);
  }
  return scale;
}

/**
 * How it grows while a picture is drawn.
 *
 * @param o.cfgScale guidance that was settled
 * @throws UserError where something is said of guidance, and there is none
 */
export function growthOf(
  { cfgGrowth: given, cfgScale }: { cfgGrowth?: Growth; cfgScale: number },
  { sample }: Pick<Config, 'sample'>,
  { draws }: Pick<Prior, 'draws'>,
): Growth {
  if (given !== undefined && cfgScale === 1) {
    throw expected('nothing', '--cfg-growth', `${given} of guidance 1, which is none`, 'Try --cfg-scale 3.');
  }
  return given ?? sample.cfg_growth ?? (draws === 'in order' ? 'constant' : 'linear');
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

const ofPasses = ['decodeSteps', 'order', 'choiceTemperature', 'revise'] as const;

/**
 * The passes of a prior that draws anywhere; of another there are none.
 *
 * @throws UserError for what is out of range, and for what is said of passes to a prior without
 */
export function passesOf(
  o: Pick<DrawingOptions, (typeof ofPasses)[number]>,
  { sample, prior }: Pick<Config, 'sample' | 'prior'>,
  { draws }: Pick<Prior, 'draws'>,
): Passes | undefined {
  if (draws === 'in order') {
    const given = ofPasses.find((key) => o[key] !== undefined);
    if (given === undefined) return undefined;
    const next = 'This prior draws one code after another; those of prior.kind maskgit draw in passes.';
    throw expected('nothing', drawingOptions[given], o[given], next);
  }
  const { decodeSteps: steps = sample.decode_steps, order = sample.order, revise = sample.revise } = o;
  const { choiceTemperature = sample.choice_temperature } = o;
  if (!Number.isInteger(steps) || steps < 1)
    throw expected('a whole number above 0', drawingOptions.decodeSteps, steps);
  if (order !== 'confidence' && order !== 'halton')
    throw expected('confidence or halton', drawingOptions.order, order);
  if (o.choiceTemperature !== undefined && order === 'halton') {
    const next = 'It says how much chance decides beside confidence: --order confidence.';
    throw expected(
      'nothing',
      drawingOptions.choiceTemperature,
      `${choiceTemperature} with order halton`,
      next,
    );
  }
  if (!(choiceTemperature >= 0 && choiceTemperature < Number.POSITIVE_INFINITY)) {
    const next = '0 leaves nothing to chance.';
    throw expected('a number of at least 0', drawingOptions.choiceTemperature, choiceTemperature, next);
  }
  if (!(revise >= 0 && revise < 1))
    throw expected(
      'a number of at least 0 and below 1',
      drawingOptions.revise,
      revise,
      '0 keeps what is drawn.',
    );
  if (revise > 0 && prior.substitute === 0) {
    const next = 'It never learned to doubt a code. Another prior would: --set prior.substitute=0.2.';
    throw expected('0', drawingOptions.revise, `${revise}, where prior.substitute was 0`, next);
  }
  return { steps, order, choiceTemperature, revise };
}

/** What was chosen, by the names of the config. @param o.cfgScale left out where nothing guides */
export function settingsOf(o: {
  choice: Choice;
  cfgScale?: number;
  growth: Growth;
  passes?: Passes;
}): Settings {
  const { choice, cfgScale, growth, passes } = o;
  return {
    ...{ temperature: choice.temperature, top_k: choice.topK, top_p: choice.topP },
    ...(cfgScale !== undefined && { cfg_scale: cfgScale }),
    ...(cfgScale !== undefined && cfgScale !== 1 && { cfg_growth: growth }),
    ...(passes && {
      ...{ decode_steps: passes.steps, order: passes.order },
      ...(passes.order === 'confidence' && { choice_temperature: passes.choiceTemperature }),
      revise: passes.revise,
    }),
  };
}
