/** What of a run taming-transformers has no form of. */
import { expected, type UserError } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { TrainedPrior } from '../stage2-transformer/model.js';
import { gptMisfit, gumbelFits } from './taming-names.js';
import { rowByRow } from './taming-tensors.js';
import { copiesOf, PUBLISHED_GROUPS } from './widen.js';

const underOwnNames = "taming-transformers has no other: --to safetensors writes it under vqgen's names";
const instead = `${underOwnNames}, --to onnx for any runtime.`;

/** What the published classes cannot be, if anything. @param told the tokenizer of what the prior is told */
export function misfitOf(config: Config, given?: TrainedPrior, told?: Config): UserError | undefined {
  const ofTold = "the condition's ";
  return (
    kindMisfit(config) ??
    (given && beginningMisfit(config, given)) ??
    groupsMisfit(config) ??
    (given && gptMisfit(rowByRow(config), { told: given.told !== undefined, next: instead })) ??
    (told && (kindMisfit(told, ofTold) ?? groupsMisfit(told, ofTold)))
  );
}

const refusal =
  (whose: string) =>
  (what: string, key: string, received: unknown): UserError =>
    expected(what, whose + key, received, instead);

/** Of a tokenizer. @param whose before the key in question */
function kindMisfit(config: Config, whose = ''): UserError | undefined {
  const { stage1 } = config;
  const refuse = refusal(whose);
  if (stage1.network !== 'vqgan') return refuse('vqgan', 'stage1.network', stage1.network);
  if (stage1.filter !== 'none') return refuse('none', 'stage1.filter', stage1.filter);
  if (!bottleneckOf(config).published) {
    const { kind } = stage1.bottleneck;
    return refuse('a codebook whose nearest row is taken', 'stage1.bottleneck.kind', kind);
  }
  return undefined;
}

/** Of a tokenizer's channels. */
function groupsMisfit(config: Config, whose = ''): UserError | undefined {
  const { stage1 } = config;
  const refuse = refusal(whose);
  if (!Number.isInteger(copiesOf(config)))
    return refuse(`a divisor of ${PUBLISHED_GROUPS}`, 'stage1.norm_groups', stage1.norm_groups);
  const uneven = [1, ...stage1.ch_mult]
    .map((mult) => mult * stage1.ch)
    .find((channels) => channels % stage1.norm_groups !== 0);
  if (uneven !== undefined) {
    return refuse(
      `multiples of stage1.norm_groups (${stage1.norm_groups})`,
      'stage1.ch',
      `${stage1.ch}, which leads to ${uneven} channels`,
    );
  }
  if (!gumbelFits(config))
    return refuse(`${stage1.z_channels}, as stage1.z_channels is,`, 'stage1.embed_dim', stage1.embed_dim);
  return undefined;
}

/** Of what a prior's sequences begin with. */
function beginningMisfit(config: Config, { told }: TrainedPrior): UserError | undefined {
  const { kind, start, condition } = config.prior;
  if (kind !== 'gpt') return expected('gpt', 'prior.kind', kind, instead);
  if (told && !told.tokenizer) {
    const next = `Published transformers are told the codes of a tokenizer, as prior.condition.tokenizer names one. ${underOwnNames}.`;
    return expected('maps or lowres by a tokenizer', 'prior.condition.kind', condition.kind, next);
  }
  if (told && start !== 'told') {
    const next = `Published transformers begin with what they are told: --set prior.start=told trains such a prior. ${underOwnNames}.`;
    return expected('told', 'prior.start', start, next);
  }
  return undefined;
}
