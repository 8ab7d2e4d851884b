/** The commands that start from pictures of the user's. */
import { expected } from '../base/errors.js';
import type { Command, Context } from './command.js';
import { defaultRun } from './flags.js';
import { openRun } from './open.js';
import type { Outcome } from './outcome.js';

export const pictureCommands: readonly Command[] = [
  {
    name: 'reconstruct',
    describe: 'Encode and decode images: originals above reconstructions, PSNR',
    flags: ['run', 'corrupt', 'out'],
    words: {
      usage: 'IMAGE…',
      describe: 'image files, or folders of them',
      most: Number.POSITIVE_INFINITY,
    },
    examples: [
      ['vqgen reconstruct cat.jpg photos/ --run checkpoints/mine --out pairs.png', ''],
      ['vqgen reconstruct photos/ --corrupt --run checkpoints/dae', 'clean, as the encoder saw it, restored'],
    ],
    readsRun: true,
    computes: true,
    run: reconstruct,
  },
  {
    name: 'interpolate',
    describe: 'Walk from one picture to another through the latent space',
    flags: ['run', 'steps', 'class', 'out'],
    standards: { steps: '9', class: 'none' },
    meanings: {
      steps: { placeholder: 'N', describe: 'pictures from one end to the other, both ends included' },
      class: {
        placeholder: 'NAME',
        describe:
          'given twice, with one picture: from what it is as the first class to what it would be as the second (CVAE)',
      },
    },
    words: { usage: 'A [B]', describe: 'two pictures, or one with --class twice', most: 2 },
    examples: [
      ['vqgen interpolate cat.png fish.png --run checkpoints/vae', 'on a straight line and on an arc'],
      [
        'vqgen interpolate cat.png --class cat --class fish --run checkpoints/cvae',
        'the same, were it a fish',
      ],
    ],
    readsRun: true,
    computes: true,
    run: interpolate,
  },
];

async function reconstruct(context: Context): Promise<Outcome> {
  const { flags, words } = context;
  if (words.length === 0) {
    throw expected('an image or a folder', 'IMAGE', 'nothing', 'For example: vqgen reconstruct photo.jpg');
  }
  const { reconstruct } = await import('../sample/reconstruct.js');
  const opened = await openRun(context, flags.run ?? defaultRun);
  const { corrupt, seed, out } = flags;
  const summary = await reconstruct({ ...opened, images: [...words], corrupt, seed, out });
  const { psnr, corrupted_psnr, restored_psnr } = summary;
  const decibels = (value: number) => `${value.toFixed(2)} dB`;
  return {
    summary,
    lines: [
      `${summary.images} images, PSNR ${decibels(psnr)}`,
      ...(restored_psnr === undefined || corrupted_psnr === undefined
        ? []
        : [`Corrupted ${decibels(corrupted_psnr)}, restored ${decibels(restored_psnr)}`]),
      summary.out,
    ],
  };
}

async function interpolate(context: Context): Promise<Outcome> {
  const { flags, words } = context;
  const { interpolate } = await import('../sample/interpolate.js');
  const opened = await openRun(context, flags.run ?? defaultRun);
  const { steps, class: classes, out } = flags;
  const summary = await interpolate({ ...opened, images: words, classes, steps, out });
  return {
    summary,
    lines: [`${summary.steps} pictures from end to end, straight and on an arc`, summary.out],
  };
}
