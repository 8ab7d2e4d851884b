/** What is read of a run before anything is drawn from it. */
import type { Reporter } from '../base/progress.js';
import { readRunConfig } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { loadModels, type TrainedPrior } from '../stage2-transformer/model.js';

/** A trained run. */
export interface TrainedRun {
  readonly config: Config;
  readonly prior: TrainedPrior;
  readonly tokenizer: TrainedModel;
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
    models: async () => ({ config, ...(await loadModels(run, reporter)) }),
  };
}

/** What a call was given, or what its run's folder holds. */
export const loadedOf = (o: { run: string; reporter: Reporter; loaded?: Loaded }): Loaded =>
  o.loaded ?? loadedFrom(o.run, o.reporter);
