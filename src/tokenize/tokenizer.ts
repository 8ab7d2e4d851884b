/** A finished tokenizer, of a run or from elsewhere. */
import type { Reporter } from '../base/progress.js';
import { readRunConfig } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import type { Device, Graph } from '../engine/device.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../stage1-vqgan/programs.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';

export interface Tokenizer {
  readonly config: Config;
  /** What token files name it by. */
  readonly sha256: string;
  /** `images` [B, S, S, 3] in [−1, 1] → codes int32 [B, h, w] of each grid by its name. */
  encoder(batch: number): Promise<Graph<'images'>>;
  /** The reverse. */
  decoder(batch: number): Promise<Graph<never, 'images'>>;
}

/** @param reporter as `loadModel` has it. @throws UserError for a run without a tokenizer */
export async function tokenizerOf(run: string, device: Device, reporter?: Reporter): Promise<Tokenizer> {
  const config = readRunConfig(run);
  const { tensors, sha256 } = await loadTokenizer(run, config, { reporter });
  return {
    config,
    sha256,
    encoder: (batch) => device.prepare(encodeProgram(modelOf(config), tensors, batch)),
    decoder: (batch) => device.prepare(decodeProgram(modelOf(config), tensors, batch)),
  };
}
