/** `--model`: exported ONNX files in place of a run. */
import { expected } from '../base/errors.js';
import type { Source, SourceOptions } from '../sample/source.js';
import type { Tokenizer } from '../tokenize/tokenizer.js';
import type { Flags } from './flags.js';

export interface Exported {
  /** Where results go unless `--run` is given. */
  readonly folder: string;
  tokenizer(): Promise<Tokenizer>;
  /** What `sample` draws from. */
  source(o: SourceOptions): Promise<Source>;
}

/**
 * What `--model` names, if it is given. @throws UserError where it does not exist, and for options that it cannot have
 */
export async function exportedOf(flags: Flags): Promise<Exported | undefined> {
  const { model, device = 'auto', precision, threads } = flags;
  if (model === undefined) return undefined;
  const next = 'Exported files run on the CPU, with the weights that they hold.';
  if (device !== 'auto' && device !== 'cpu') throw expected('cpu', '--device with --model', device, next);
  if (precision !== undefined) throw expected('nothing', '--precision with --model', precision, next);
  const { exportedSource, exportedTokenizer, exportFolder } = await import('../exchange/onnx/open.js');
  return {
    folder: exportFolder(model),
    tokenizer: () => exportedTokenizer(model, threads),
    source: exportedSource(model, threads),
  };
}
