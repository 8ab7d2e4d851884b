/** How codes are drawn, as the page's inputs say. */
import type { Passes } from '../../../stage2-transformer/passes.js';
import type { Description } from '../description.js';
import { maybe, numberIn, numberOr } from './dom.js';
import type { Settings } from './messages.js';

export function settingsOf({ temperature, prior }: Description): Settings {
  const passes = prior?.passes;
  const order = maybe('order', HTMLSelectElement)?.value as Passes['order'] | undefined;
  return {
    temperature: numberOr('temperature', temperature),
    topK: numberOr('top-k', 0),
    topP: numberOr('top-p', 1),
    cfgScale: numberOr('cfg-scale', 1),
    ...(passes && {
      passes: { ...passes, steps: numberIn('decode-steps'), order: order ?? passes.order },
    }),
  };
}
