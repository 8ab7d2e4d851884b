/**
 * `vqgen info RUN`: what stands in a run, what is wrong with it, and the next command to type. Reads the models that
 * later commands would use, of all else headers and metrics.
 */
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../base/errors.js';
import { formatDuration, formatNumber } from '../base/progress.js';
import { version } from '../base/root.js';
import { describeDamage, soundCheckpoint, tellOfDamage } from '../checkpoint/integrity.js';
import { readRunConfig, readSavedConfig, runPaths, type StageName } from '../checkpoint/run.js';
import { openSafetensors } from '../checkpoint/safetensors.js';
import { isStale, loadModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { describeLatent, type Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { listed, priorClasses, speaksCodesOf } from '../stage2-transformer/model.js';
import { priorCondition } from '../tokenize/conditions/begun.js';
import { describeCondition } from '../tokenize/conditions/condition.js';
import { describeGrids, gridsIn, sizesOf } from '../tokenize/token-file.js';
import { lastValues, type Values } from '../train/metrics.js';
import { collapseWarning } from '../train/usage-watch.js';
import { type Outcome, runOption } from './outcome.js';

interface StageInfo {
  readonly step: number;
  readonly steps: number;
  /** Whether its training is over: it reached its last step, or ended early. */
  readonly finished: boolean;
  /** Of the checkpoint that later commands use. */
  readonly used: number;
  /** Whether the tokenizer was trained on since. */
  readonly outdated: boolean;
  readonly seconds: number;
  readonly loss: number;
  readonly metrics: Values;
}

interface TokensInfo {
  readonly split: string;
  readonly images: number;
  /** Of several grids the largest. */
  readonly height: number;
  readonly width: number;
  readonly vocab: number;
  /** Of several. */
  readonly grids?: readonly Grid[];
  /** Whether the tokenizer was trained on since. */
  readonly outdated: boolean;
}

const earlier = ' (of an earlier tokenizer)';

/** @throws UserError where there is no run */
export async function describeRun(run: string): Promise<Outcome> {
  const config = readRunConfig(run);
  const problems: string[] = [];
  const { sound } = await soundCheckpoint(runPaths(run).stage1);
  const tokenizer = sound?.sha256;
  const stage1 = await describeStage(run, 'stage1', config, { tokenizer, problems });
  const tokens = await describeTokens(run, tokenizer, problems);
  const prior = await describeStage(run, 'prior', config, { tokenizer, problems });
  const classes = prior ? priorClasses(run) : [];
  const told = prior ? priorCondition(run) : undefined;
  const samples = countSamples(run);
  const command = nextCommand({ stage1, tokens, prior });
  const next = `vqgen ${command}${runOption(run)}`;
  const first = command === 'train-prior' && prior ? `remove ${runPaths(run).prior}, then ` : '';
  const { size } = config.data;
  return {
    summary: {
      run,
      vqgen: version,
      stage1,
      tokens,
      prior,
      classes,
      condition: told ?? null,
      samples,
      problems,
      next,
    },
    lines: [
      `${run}: ${trainedOn(run)}, ${size} × ${size} pixels, ${latentIn(config)}`,
      ...stageLines('tokenizer', stage1),
      tokens.length === 0
        ? 'tokens     none'
        : `tokens     ${tokens.map(({ split, images, outdated }) => `${split}: ${images} images${outdated ? earlier : ''}`).join(', ')}`,
      ...stageLines('prior', prior),
      ...(told ? [`${' '.repeat(10)} told ${describeCondition(told)}`] : []),
      ...(classes.length > 0 ? [`${' '.repeat(10)} ${classes.length} classes: ${listed(classes)}`] : []),
      `samples    ${samples === 0 ? 'none' : `${samples} pictures in ${runPaths(run).samples}`}`,
      ...problems,
      `Next: ${first}${next}`,
    ],
  };
}

function latentIn(config: Config): string {
  const grids = gridsOf(config);
  return grids.length > 0 ? describeGrids(grids) : describeLatent(bottleneckOf(config).latent);
}

/**
 * The images as the run was saved with them: of a run that was handed on a part of their folder's path, which leads
 * nowhere here.
 */
function trainedOn(run: string): string {
  const { data } = readSavedConfig(run) ?? {};
  const dir = data?.dir ?? null;
  if (dir === null) return 'built-in pictures';
  return path.isAbsolute(dir) ? dir : `images of ${dir}, where it was trained`;
}

async function describeStage(
  run: string,
  stage: StageName,
  config: Config,
  { tokenizer, problems }: { tokenizer: string | undefined; problems: string[] },
): Promise<StageInfo | null> {
  const folder = runPaths(run)[stage];
  const newest = await soundCheckpoint(folder);
  if (!newest.sound) {
    problems.push(...newest.damaged.map((damage) => `${describeDamage(damage)}.`));
    return null;
  }
  const { checkpoint, state } = newest.sound;
  const { step } = checkpoint;
  const { steps } = config[stage];
  const early = stage === 'prior' && isStale(state.stale, config.prior.patience);
  const warned: string[] = [];
  const reporter = { warn: (line: string) => warned.push(line) };
  tellOfDamage(newest, reporter);
  const used = await loadModel(run, stage, { reporter, best: stage === 'prior' }).catch((error) => {
    if (!(error instanceof UserError)) throw error;
    warned.push(error.message);
    return { step };
  });
  const finished = early || step >= steps;
  const outdated = stage === 'prior' && !(tokenizer && speaksCodesOf(run, tokenizer));
  const last = await lastValues(folder);
  const collapse = collapseWarning(last.metrics);
  problems.push(...new Set(warned), ...(collapse ? [collapse] : []));
  return { step, steps, finished, used: used.step, outdated, seconds: state.seconds, ...last };
}

async function describeTokens(
  run: string,
  present: string | undefined,
  problems: string[],
): Promise<TokensInfo[]> {
  const folder = runPaths(run).tokens;
  if (!fs.existsSync(folder)) return [];
  const files = fs.readdirSync(folder).filter((name) => /^[^.].*\.safetensors$/.test(name));
  const found: TokensInfo[] = [];
  for (const name of files.sort()) {
    const file = await openSafetensors(path.join(folder, name)).catch((error) => {
      if (!(error instanceof UserError)) throw error;
      problems.push(error.message);
    });
    if (!file) continue;
    await file.close();
    const grids = gridsIn(file);
    if (grids.length === 0) continue; // no token file
    const { tokenizer, codings = '1' } = file.metadata;
    const images = (file.entries.labels?.shape[0] ?? 0) / Number(codings);
    const split = path.basename(name, '.safetensors');
    found.push({ split, images, ...sizesOf(grids), outdated: tokenizer !== present });
  }
  return found;
}

function countSamples(run: string): number {
  const folder = runPaths(run).samples;
  if (!fs.existsSync(folder)) return 0;
  return fs.readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith('.png')).length;
}

function nextCommand(o: { stage1: StageInfo | null; tokens: TokensInfo[]; prior: StageInfo | null }): string {
  if (o.prior?.finished && !o.prior.outdated) return 'sample --n 16';
  if (!o.stage1?.finished) return 'train-stage1 --resume';
  if (!o.tokens.some(({ split, outdated }) => split === 'train' && !outdated)) return 'tokenize';
  return o.prior && !o.prior.outdated ? 'train-prior --resume' : 'train-prior';
}

function stageLines(name: string, info: StageInfo | null): string[] {
  const title = name.padEnd(10);
  if (!info) return [`${title} not trained`];
  const measures = Object.entries(info.metrics).map(([key, value]) => `${key} ${formatNumber(value)}`);
  return [
    `${title} step ${info.step} of ${info.steps}${info.seconds > 0 ? `, ${formatDuration(info.seconds)}` : ''}${info.used === info.step ? '' : `; the best, which is used, is of step ${info.used}`}${info.outdated ? earlier : ''}`,
    ...(measures.length > 0 ? [`${' '.repeat(10)} ${measures.join('  ')}`] : []),
  ];
}
