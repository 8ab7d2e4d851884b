/** `vqgen import`: what the words and options mean, and what is said in the end. */

import { expected } from '../base/errors.js';
import { holding } from '../base/lock.js';
import type { Reporter } from '../base/progress.js';
import { word } from '../base/shell.js';
import { checkRun, importCheckpoint, importLpips, isLpips } from '../exchange/import.js';
import { importOwn, isOwn } from '../exchange/import-own.js';
import { importTorch } from '../exchange/torch/import.js';
import { isProject } from '../exchange/torch/project.js';
import { type Flags, onlyData, squareOf } from './flags.js';
import { type Outcome, runOption } from './outcome.js';

const toldOf = { photographs: 'pictures', labels: 'label maps', depth: 'depth maps' };

const lpipsFile = 'lpips-vgg16.safetensors';

/** @throws UserError without a file, or without --run for a checkpoint */
export async function importWords(
  words: readonly string[],
  flags: Flags,
  reporter: Reporter,
): Promise<Outcome> {
  const [checkpoint] = words;
  if (checkpoint === undefined) {
    throw expected(
      'a file',
      'CHECKPOINT',
      'nothing',
      'For example: vqgen import last.ckpt --run checkpoints/f16',
    );
  }
  const project = isProject(checkpoint);
  const own = !project && (await isOwn(checkpoint));
  if (!project && !own && (words.length > 1 || (await isLpips(checkpoint))))
    return lpips(words, flags, reporter);
  if (flags.run === undefined) {
    throw expected(
      'a new folder',
      '--run',
      'nothing',
      `For example: vqgen import ${word(checkpoint)} --run checkpoints/f16`,
    );
  }
  if (flags.out !== undefined) {
    throw expected('only --run', checkpoint, `--out ${flags.out}`, 'A file is what weights of LPIPS become.');
  }
  const { run } = flags;
  checkRun(run);
  const command = 'vqgen import';
  const lock = { place: run, option: '--run', named: run, command, takeOver: flags['take-over'], reporter };
  return holding(lock, () => {
    if (project) return fromTorch(words, run, flags, reporter);
    return own ? ownNames(words, run, flags) : published(checkpoint, run, flags, reporter);
  });
}

async function published(
  checkpoint: string,
  run: string,
  flags: Flags,
  reporter: Reporter,
): Promise<Outcome> {
  const { config, set } = flags;
  const size = squareOf(flags.size);
  const data = onlyData(flags);
  const summary = await importCheckpoint({ checkpoint, run, config, size, set, data, reporter });
  const { told } = summary;
  const drawing = told
    ? `sample --condition ${told === 'photographs' ? 'photo.jpg' : 'map.png'}`
    : 'sample --n 16';
  const parts = [
    `${summary.size} × ${summary.size} pixels, ${summary.codes} codes`,
    `${summary.parameters.toLocaleString('en')} parameters`,
    ...(summary.prior ? [`with its transformer${told ? `, which is told ${toldOf[told]}` : ''}`] : []),
    ...(summary.discriminator ? ['with its discriminator'] : []),
    ...(summary.perceptual ? ['with its LPIPS weights'] : []),
  ];
  return {
    summary,
    lines: [
      `${summary.kind} at step ${summary.step}, ${summary.tensors} tensors: ${parts.join(', ')}`,
      `Next: vqgen ${summary.prior ? drawing : `tokenize ${data ? '' : 'photos/ '}--check`}${runOption(run)}`,
    ],
  };
}

async function fromTorch(
  [folder = '', ...others]: readonly string[],
  run: string,
  flags: Flags,
  reporter: Reporter,
): Promise<Outcome> {
  checkIdle(flags, folder);
  if (others.length > 0) throw expected('nothing', `CHECKPOINT beside ${folder}`, others.join(' '));
  const summary = await importTorch({ folder, run, data: onlyData(flags), reporter });
  const stages = Object.entries(summary.steps).map(([stage, step]) => `${stage} at step ${step}`);
  return {
    summary,
    lines: [`A PyTorch project: ${stages.join(', ')}`, `Next: vqgen info ${word(run)}`],
  };
}

/** @throws UserError for what says what the config of `place` says already */
function checkIdle(flags: Flags, place: string): void {
  const idle = (['config', 'set', 'size'] as const).find((name) => flags[name] !== undefined);
  if (!idle) return;
  const next = 'It holds the config of its run.';
  throw expected('nothing', `--${idle} with ${place}`, String(flags[idle]), next);
}

async function ownNames(files: readonly string[], run: string, flags: Flags): Promise<Outcome> {
  checkIdle(flags, files[0] ?? '');
  const summary = await importOwn({ files, run, data: onlyData(flags) });
  const { step, tensors, size, latent, parameters, prior } = summary;
  return {
    summary,
    lines: [
      `vqgen's own at step ${step}, ${tensors} tensors: ${size} × ${size} pixels, ${latent}, ${parameters.toLocaleString('en')} parameters${prior ? ', with its prior' : ''}`,
      `Next: vqgen info ${word(run)}`,
    ],
  };
}

async function lpips(
  files: readonly string[],
  { out = lpipsFile }: Flags,
  reporter: Reporter,
): Promise<Outcome> {
  const summary = await importLpips(files, out, reporter);
  return {
    summary,
    lines: [
      `${summary.tensors} tensors: ${summary.file}`,
      `Next: vqgen train-stage1 --set stage1.perceptual.kind=lpips-vgg16 --set ${word(`stage1.perceptual.weights=${summary.file}`)}`,
    ],
  };
}
