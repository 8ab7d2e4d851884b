/** The source that a run has, by what its images become. */
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Latent } from '../stage1-vqgan/latent.js';
import { loadedOf } from './loaded.js';
import { numbersSource } from './numbers-source.js';
import { priorSource } from './prior-source.js';
import type { Source, SourceOptions } from './source.js';
import { windowedSource } from './windowed-source.js';

const kinds: Record<Latent['kind'], (o: SourceOptions) => Promise<Source>> = {
  codes: priorSource,
  gaussian: numbersSource,
  plain: numbersSource,
};

/** @throws UserError for a run that is not trained, or settings out of range */
export function openSource(o: SourceOptions): Promise<Source> {
  const loaded = loadedOf(o);
  const { config } = loaded;
  const { size } = config.data;
  const { width = size, height = size } = o.extent ?? {};
  if (width !== size || height !== size) return windowedSource({ ...o, loaded }, { width, height });
  return kinds[bottleneckOf(config).latent.kind]({ ...o, loaded });
}
