/** A run's tokenizer, whose weights fit its config. */
import type { Reporter } from '../base/progress.js';
import { fitting, loadModel, type TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { specsOf } from '../nn/params.js';
import { modelSpecs } from './model.js';

/** As `loadModel`. @throws UserError too where weights are missing or of other shapes than the config's */
export async function loadTokenizer(
  run: string,
  config: Config,
  o: { reporter?: Pick<Reporter, 'warn'> } = {},
): Promise<TrainedModel> {
  return fitting(await loadModel(run, 'stage1', o), specsOf(modelSpecs(config)));
}
