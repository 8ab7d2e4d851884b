/** What the PyTorch project (`pytorch/`) knows of vqgen's models. */
import { expected, type UserError } from '../../base/errors.js';
import type { Config } from '../../config/schema.js';

const bottlenecks = ['nearest', 'ema', 'cosine', 'fsq', 'lfq'];
const priors = ['gpt', 'maskgit'];

/** Why a tokenizer cannot be trained there, where it cannot. */
export function unknownTokenizer({ data, stage1 }: Config, run: string): UserError | undefined {
  const next = 'The project has no such model: this run goes on being trained here.';
  const refused = (what: string, key: string, received: string) =>
    expected(what, '--run', `${run}, whose ${key} is ${received}`, next);
  if (!bottlenecks.includes(stage1.bottleneck.kind)) {
    const what = `a tokenizer with a bottleneck of ${bottlenecks.join(', ')}`;
    return refused(what, 'stage1.bottleneck.kind', stage1.bottleneck.kind);
  }
  if (stage1.corrupt.kind !== 'none')
    return refused('a tokenizer of clean pictures', 'stage1.corrupt.kind', stage1.corrupt.kind);
  if (data.pictures !== 'photographs')
    return refused('a tokenizer of photographs', 'data.pictures', data.pictures);
  return undefined;
}

/** Why a prior cannot be trained there, where it cannot: what the project has not. */
export function unknownPrior({ prior }: Config): string | undefined {
  if (!priors.includes(prior.kind)) return `the project has no ${prior.kind}`;
  if (prior.condition.kind !== 'none') return `the project tells a prior nothing but classes`;
  return undefined;
}
