/** The command that shows runs on a page. */
import type { Command, Context } from './command.js';
import { defaultRun, onlyData } from './flags.js';
import { openDevice } from './open.js';
import type { Outcome } from './outcome.js';

export const reportCommand: Command = {
  name: 'report',
  describe: 'Write what stands in runs as one HTML file: curves, pictures, codebook, samples, numbers',
  flags: ['out', 'data', 'n', 'run'],
  standards: { out: "report.html in the first run's folder", data: "each run's validation images", n: '128' },
  meanings: {
    out: { placeholder: 'FILE', describe: 'where the page goes' },
    data: { placeholder: 'DIR|FILE', describe: 'folder of unseen images, the same for all runs' },
    n: { placeholder: 'N', describe: 'samples that are drawn to be measured, at most' },
  },
  words: {
    usage: '[RUN…]',
    describe: 'run folders, as --run; several stand side by side',
    most: Number.POSITIVE_INFINITY,
  },
  examples: [
    ['vqgen report checkpoints/mine', 'into checkpoints/mine/report.html: open it in a browser'],
    ['vqgen report checkpoints/a checkpoints/b --out a-and-b.html', 'side by side, with the same pictures'],
    ['vqgen report fruits-64 --data photos/', 'of a run whose own pictures are not here'],
  ],
  readsRun: true,
  endsItself: true,
  computes: true,
  run: report,
};

async function report(context: Context): Promise<Outcome> {
  const { flags, words, reporter, signal } = context;
  const { report } = await import('../report/report.js');
  const { markOutputs, runAt } = await import('../checkpoint/shipped.js');
  const runs = words.length > 0 ? words.map(runAt) : [flags.run ?? defaultRun];
  const data = onlyData(flags);
  const device = await openDevice(context, runs[0]);
  const { n = 128, seed, out } = flags;
  const summary = await report({ runs, data, n, seed, out, device, reporter, signal });
  for (const run of runs) await markOutputs(run);
  return {
    summary,
    lines: [`${(summary.bytes / 1e6).toFixed(1)} MB: ${summary.out}`],
  };
}
