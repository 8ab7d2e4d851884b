/** What commands say in the end that several processes may do together: of a shard, and of what is merged. */
import { expected } from '../base/errors.js';
import { formatDuration } from '../base/progress.js';
import type { TokenizeSummary } from '../tokenize/tokenize.js';
import type { Context } from './command.js';
import { defaultRun, type FlagName } from './flags.js';
import { type Outcome, runOption } from './outcome.js';

/** @param trains whether a prior is trained on them next */
export async function tokenized(summary: TokenizeSummary, run: string, trains: boolean): Promise<Outcome> {
  const { describeGrids } = await import('../tokenize/token-file.js');
  const { images, skipped, grids = [{ name: '', ...summary }], file } = summary;
  const used = grids.map(({ usage }) => `${(100 * usage).toFixed(0)} %`).join(' and ');
  return {
    summary,
    lines: [
      `${images} images as ${describeGrids(grids)} (${used} used): ${file}`,
      ...(skipped > 0 ? [`${skipped} files could not be read`] : []),
      ...(trains ? [`Next: vqgen train-prior${runOption(run)}`] : []),
    ],
  };
}

export async function tokenizedShard(
  o: Parameters<typeof import('../tokenize/shards.js').tokenizeShard>[0],
): Promise<Outcome> {
  const { tokenizeShard } = await import('../tokenize/shards.js');
  const summary = await tokenizeShard(o);
  const { shard, images, skipped, file, already } = summary;
  return {
    summary,
    lines: [
      `Shard ${shard}: ${images} images${already ? ', there already' : ''}: ${file}`,
      ...(skipped > 0 ? [`${skipped} files could not be read`] : []),
      `When all are there: vqgen tokenize --merge${o.split === undefined ? '' : ` --split ${o.split}`}${runOption(o.run)}`,
    ],
  };
}

export async function sampledShard(
  o: Parameters<typeof import('../sample/shards.js').sampleShard>[0],
): Promise<Outcome> {
  const { sampleShard } = await import('../sample/shards.js');
  const summary = await sampleShard(o);
  const { shard, images, already, seconds, folder } = summary;
  return {
    summary,
    lines: [
      `Shard ${shard}: ${images} images${already > 0 ? `, ${already} there already` : ''}, in ${formatDuration(seconds)}: ${folder}`,
      `When all are there, with the same options: vqgen sample --merge --n ${o.n}${runOption(o.run)}`,
    ],
  };
}

export async function evaluatedShard(
  o: Parameters<typeof import('../evaluate/shards.js').evaluateShard>[0],
): Promise<Outcome> {
  const { evaluateShard } = await import('../evaluate/shards.js');
  const summary = await evaluateShard(o);
  const { shard, file, already } = summary;
  return {
    summary,
    lines: [
      `Shard ${shard}${already ? ', there already' : ''}: ${file}`,
      `When all are there, with the same options: vqgen evaluate --merge${runOption(o.run)}`,
    ],
  };
}

/** What the parts say. */
const said = ['codings', 'set', 'check', 'seed'] as const satisfies readonly FlagName[];

/** @throws UserError too for options that the parts say */
export async function mergeTokens({ flags, reporter, signal, words }: Context): Promise<Outcome> {
  const also = said.find((name) => flags[name] !== undefined);
  const given = also === undefined ? words[0] : `--${also}`;
  if (given !== undefined)
    throw expected('nothing but parts that are there', '--merge', given, 'The parts say it: leave it out.');
  const { mergeTokens } = await import('../tokenize/shards.js');
  const { split, shards, model, 'take-over': takeOver } = flags;
  const folder = model === undefined ? undefined : await exportedFolder(model);
  const run = flags.run ?? folder ?? defaultRun;
  const exported = model !== undefined;
  const summary = await mergeTokens({ run, split, shards, exported, takeOver, reporter, signal });
  return tokenized(summary, run, split === undefined && !exported);
}

async function exportedFolder(model: string): Promise<string> {
  const { exportFolder } = await import('../exchange/onnx/open.js');
  return exportFolder(model);
}
