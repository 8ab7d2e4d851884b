/** What is read of a run before anything is drawn from it. */
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { readRunConfig, runPaths } from '../checkpoint/run.js';
import { latestCheckpoint, type TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { loadModels, type TrainedPrior } from '../stage2-transformer/model.js';

/** A trained run. */
export interface TrainedRun {
  readonly config: Config;
  readonly prior: TrainedPrior;
  readonly tokenizer: TrainedModel;
  /** Step of the prior's newest checkpoint. */
  readonly newest: number;
}

export interface Loaded {
  readonly config: Config;
  /** @throws UserError for a run without a tokenizer */
  tokenizer(): Promise<TrainedModel>;
  /** @throws UserError for a run without a trained tokenizer and prior */
  models(): Promise<TrainedRun>;
}

/** Read anew whenever it is asked for: nothing is held on to. @throws UserError where there is no such run */
export function loadedFrom(run: string, reporter: Reporter): Loaded {
  const config = readRunConfig(run);
  return {
    config,
    tokenizer: () => loadTokenizer(run, config, { reporter }),
    async models() {
      const models = await loadModels(run, reporter);
      const { step: newest } = must(latestCheckpoint(runPaths(run).prior), 'checkpoint');
      return { config, ...models, newest };
    },
  };
}

/** What a call was given, or what its run's folder holds. */
export const loadedOf = (o: { run: string; reporter: Reporter; loaded?: Loaded }): Loaded =>
  o.loaded ?? loadedFrom(o.run, o.reporter);

/** Notes where the prior that is taken is not the newest. */
export function tellOfBest({ prior: { step }, newest }: TrainedRun, { note }: Pick<Reporter, 'note'>): void {
  if (step < newest)
    note(`The prior is that of step ${step}, the best by validation; the newest is of step ${newest}.`);
}
