/** `vqgen info RUN`: what stands in a run, and the next command to type. Reads headers and metrics only. */
import fs from 'node:fs';
import path from 'node:path';
import { formatDuration, formatNumber } from '../base/progress.js';
import { readRunConfig, runPaths, type StageName, version } from '../checkpoint/run.js';
import { openSafetensors, sha256 } from '../checkpoint/safetensors.js';
import { bestCheckpoint, isStale, latestCheckpoint, readState } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { listed, priorClasses } from '../stage2-transformer/model.js';
import { lastValues, type Values } from '../train/metrics.js';
import { type Outcome, runOption } from './outcome.js';

interface StageInfo {
  readonly step: number;
  readonly steps: number;
  /** Whether its training is over: it reached its last step, or ended early. */
  readonly finished: boolean;
  /** Of the checkpoint that later commands use. */
  readonly used: number;
  readonly seconds: number;
  readonly loss: number;
  readonly metrics: Values;
}

interface TokensInfo {
  readonly split: string;
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly vocab: number;
  /** Whether the tokenizer was trained on since. */
  readonly outdated: boolean;
}

/** @throws UserError where there is no run */
export async function describeRun(run: string): Promise<Outcome> {
  const config = readRunConfig(run);
  const stage1 = await describeStage(run, 'stage1', config);
  const tokens = await describeTokens(run);
  const prior = await describeStage(run, 'prior', config);
  const classes = prior ? priorClasses(run) : [];
  const samples = countSamples(run);
  const next = `vqgen ${nextCommand({ stage1, tokens, prior })}${runOption(run)}`;
  const { data, stage1: model } = config;
  const side = data.size / 2 ** (model.ch_mult.length - 1);
  return {
    summary: { run, vqgen: version, stage1, tokens, prior, classes, samples, next },
    lines: [
      `${run}: ${data.dir ?? 'built-in pictures'}, ${data.size} × ${data.size} pixels, ${side} × ${side} tokens of ${model.codes} codes`,
      ...stageLines('tokenizer', stage1),
      tokens.length === 0
        ? 'tokens     none'
        : `tokens     ${tokens.map(({ split, images, outdated }) => `${split}: ${images} images${outdated ? ' (of an earlier tokenizer)' : ''}`).join(', ')}`,
      ...stageLines('prior', prior),
      ...(classes.length > 0 ? [`${' '.repeat(10)} ${classes.length} classes: ${listed(classes)}`] : []),
      `samples    ${samples === 0 ? 'none' : `${samples} pictures in ${runPaths(run).samples}`}`,
      `Next: ${next}`,
    ],
  };
}

async function describeStage(run: string, stage: StageName, config: Config): Promise<StageInfo | null> {
  const folder = runPaths(run)[stage];
  const checkpoint = latestCheckpoint(folder);
  if (!checkpoint) return null;
  const { seconds, stale } = readState(checkpoint);
  const { step } = checkpoint;
  const { steps } = config[stage];
  const early = stage === 'prior' && isStale(stale, config.prior.patience);
  const used = stage === 'prior' ? bestCheckpoint(folder)!.step : step;
  return { step, steps, finished: early || step >= steps, used, seconds, ...(await lastValues(folder)) };
}

async function describeTokens(run: string): Promise<TokensInfo[]> {
  const folder = runPaths(run).tokens;
  if (!fs.existsSync(folder)) return [];
  const checkpoint = latestCheckpoint(runPaths(run).stage1);
  const present = checkpoint && (await sha256(path.join(checkpoint.path, 'model.safetensors')));
  const files = fs.readdirSync(folder).filter((name) => /^[^.].*\.safetensors$/.test(name));
  const found: TokensInfo[] = [];
  for (const name of files.sort()) {
    const file = await openSafetensors(path.join(folder, name));
    await file.close();
    const [rows = 0, height = 0, width = 0] = file.entries.codes?.shape ?? [];
    const { tokenizer, vocab, codings = '1' } = file.metadata;
    const images = rows / Number(codings);
    const split = path.basename(name, '.safetensors');
    found.push({ split, images, height, width, vocab: Number(vocab), outdated: tokenizer !== present });
  }
  return found;
}

function countSamples(run: string): number {
  const folder = runPaths(run).samples;
  if (!fs.existsSync(folder)) return 0;
  return fs.readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith('.png')).length;
}

function nextCommand(o: { stage1: StageInfo | null; tokens: TokensInfo[]; prior: StageInfo | null }): string {
  if (!o.stage1?.finished) return 'train-stage1 --resume';
  if (!o.tokens.some(({ split, outdated }) => split === 'train' && !outdated)) return 'tokenize';
  if (!o.prior) return 'train-prior';
  return o.prior.finished ? 'sample --n 16' : 'train-prior --resume';
}

function stageLines(name: string, info: StageInfo | null): string[] {
  const title = name.padEnd(10);
  if (!info) return [`${title} not trained`];
  const measures = Object.entries(info.metrics).map(([key, value]) => `${key} ${formatNumber(value)}`);
  return [
    `${title} step ${info.step} of ${info.steps}, ${formatDuration(info.seconds)}${info.used === info.step ? '' : `; the best, which is used, is of step ${info.used}`}`,
    `${' '.repeat(10)} ${measures.join('  ')}`,
  ];
}
