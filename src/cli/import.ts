/** `vqgen import`: what the words and options mean, and what is said in the end. */
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { importCheckpoint, importLpips, isLpips } from '../exchange/import.js';
import { type Flags, onlyData } from './flags.js';
import { type Outcome, runOption } from './outcome.js';

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
  if (words.length > 1 || (await isLpips(checkpoint))) return lpips(words, flags, reporter);
  if (flags.run === undefined) {
    throw expected(
      'a new folder',
      '--run',
      'nothing',
      `For example: vqgen import ${checkpoint} --run checkpoints/f16`,
    );
  }
  if (flags.out !== undefined) {
    throw expected('only --run', checkpoint, `--out ${flags.out}`, 'A file is what weights of LPIPS become.');
  }
  const { run, config, size, set } = flags;
  const data = onlyData(flags);
  const summary = await importCheckpoint({ checkpoint, run, config, size, set, data, reporter });
  const parts = [
    `${summary.size} × ${summary.size} pixels, ${summary.codes} codes`,
    `${summary.parameters.toLocaleString('en')} parameters`,
    ...(summary.prior ? ['with its transformer'] : []),
    ...(summary.discriminator ? ['with its discriminator'] : []),
    ...(summary.perceptual ? ['with its LPIPS weights'] : []),
  ];
  return {
    summary,
    lines: [
      `${summary.kind} at step ${summary.step}, ${summary.tensors} tensors: ${parts.join(', ')}`,
      `Next: vqgen ${summary.prior ? 'sample --n 16' : `tokenize ${data ? '' : 'photos/ '}--check`}${runOption(run)}`,
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
      `Next: vqgen train-stage1 --set stage1.perceptual.kind=lpips-vgg16 --set stage1.perceptual.weights=${summary.file}`,
    ],
  };
}
