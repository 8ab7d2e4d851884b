/** `vqgen train-perceptual`: from its options to what it says. */

import { formatDuration, type Reporter } from '../base/progress.js';
import { word } from '../base/shell.js';
import type { Device } from '../engine/device.js';
import { trainPerceptual } from '../perceptual/train.js';
import { defaultClassifier, type Flags, squareOf } from './flags.js';
import type { Outcome } from './outcome.js';

export async function runTrainPerceptual(o: {
  flags: Flags;
  reporter: Reporter;
  signal: AbortSignal;
  device: Device;
}): Promise<Outcome> {
  const { flags, reporter, signal, device } = o;
  const { data = [], val = [], out = defaultClassifier, steps, seed, resume = false } = flags;
  const takeOver = flags['take-over'];
  const { stopped, ...summary } = await trainPerceptual({
    ...{ data, val, out, size: squareOf(flags.size), steps, seed, resume, takeOver },
    ...{ device, reporter, signal },
  });
  const { step, seconds, accuracy, file } = summary;
  return {
    summary,
    stopped,
    lines: [
      `${stopped ? 'Stopped and saved' : 'Trained'}: step ${step} in ${out}, ${formatDuration(seconds)}`,
      ...summary.val.map(
        (part) => `${(100 * part.accuracy).toFixed(1)} % of ${part.images} unseen images right: ${part.data}`,
      ),
      ...(accuracy === null
        ? ['Next: the same command with --resume']
        : [`${file}`, `Next: vqgen train-stage1 --set ${word(`stage1.perceptual.weights=${out}`)}`]),
    ],
  };
}
