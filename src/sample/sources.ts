/** The source that a run has, by what its images become. */
import { expected } from '../base/errors.js';
import { readRunConfig } from '../checkpoint/run.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Latent } from '../stage1-vqgan/latent.js';
import { priorSource } from './prior-source.js';
import type { Source, SourceOptions } from './source.js';

const kinds: Partial<Record<Latent['kind'], (o: SourceOptions) => Promise<Source>>> = {
  codes: priorSource,
};

/** @throws UserError for a run that is not trained, or settings out of range */
export function openSource(o: SourceOptions): Promise<Source> {
  const { kind } = bottleneckOf(readRunConfig(o.run)).latent;
  const open = kinds[kind];
  if (!open)
    throw expected('a run with something to draw from', '--run', `${o.run}, whose latent is ${kind}`);
  return open(o);
}
