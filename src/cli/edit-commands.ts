/** The commands that draw parts of pictures of the user's. */
import { expected } from '../base/errors.js';
import { formatDuration } from '../base/progress.js';
import type { PaintFiles, PaintOptions, PaintSummary } from '../sample/paint.js';
import type { Command, Context, Meaning } from './command.js';
import { defaultRun, drawingFlags, drawingOf, type FlagName } from './flags.js';
import { openRun } from './open.js';
import type { Outcome } from './outcome.js';

const drawing: readonly FlagName[] = ['n', 'run', 'class', ...drawingFlags, 'out'];

const standards = { n: '4', class: 'none: what is to be seen is not told' };

const classMeaning: Meaning = {
  placeholder: 'NAME',
  describe: 'what is to be seen, a class; may be repeated: then in turn',
};

const meanings = { n: { placeholder: 'N', describe: 'number of proposals' }, class: classMeaning };

const words = { usage: 'IMG', describe: 'a picture of any size; the run sees its middle square', most: 1 };

export const editCommands: readonly Command[] = [
  {
    name: 'complete',
    describe: 'Draw the rest of a picture of which a part is kept, by any prior',
    flags: ['keep', ...drawing],
    standards,
    meanings,
    words,
    examples: [
      ['vqgen complete cat.jpg --run checkpoints/mine', 'four ways in which its upper half may go on'],
      ['vqgen complete cat.jpg --keep 0.75 --class cat --n 8', 'only the last quarter is drawn'],
      ['vqgen complete cat.jpg --keep right', 'with a prior that draws anywhere (prior.kind maskgit)'],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: (context) => paint(context, 'complete', complete),
  },
  {
    name: 'edit inpaint',
    describe: 'Redraw a part of a picture, with a prior that draws anywhere (prior.kind maskgit)',
    flags: ['box', 'mask', ...drawing],
    standards,
    meanings,
    words,
    examples: [
      ['vqgen edit inpaint cat.jpg --box 120,80,200,150', 'x, y, width and height in pixels of cat.jpg'],
      ['vqgen edit inpaint cat.jpg --mask hole.png --n 8', 'what is white in hole.png, eight times'],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: (context) => paint(context, 'edit inpaint', inpaint),
  },
  {
    name: 'edit outpaint',
    describe: 'Draw more around a picture, with a prior that draws anywhere (prior.kind maskgit)',
    flags: ['left', 'right', 'top', 'bottom', ...drawing],
    standards,
    meanings,
    words,
    examples: [
      ['vqgen edit outpaint cat.jpg --right 50%', 'half as wide again'],
      ['vqgen edit outpaint cat.jpg --left 100% --right 100% --n 2', 'three times as wide'],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: (context) => paint(context, 'edit outpaint', outpaint),
  },
  {
    name: 'edit class',
    describe:
      'Redraw a part of a picture as another class, with a prior that draws anywhere (prior.kind maskgit)',
    flags: ['box', 'mask', ...drawing],
    standards: { n: '4', class: 'must be given' },
    meanings,
    words,
    examples: [
      ['vqgen edit class cat.jpg --box 120,80,200,150 --class dog', ''],
      ['vqgen edit class cat.jpg --box 0,0,400,400 --class dog --class fox --cfg-scale 3', 'in turn'],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: (context) => paint(context, 'edit class', editClass),
  },
];

type Draw = (o: PaintOptions & PaintFiles, context: Context) => Promise<PaintSummary>;

const complete: Draw = async (o, { flags: { keep } }) =>
  (await import('../sample/complete.js')).complete({ ...o, keep });

const inpaint: Draw = async (o, { flags: { box, mask } }) =>
  (await import('../sample/edit.js')).inpaint({ ...o, box, mask });

const outpaint: Draw = async (o, { flags: { left, right, top, bottom } }) =>
  (await import('../sample/edit.js')).outpaint({ ...o, added: { left, right, top, bottom } });

const editClass: Draw = async (o, { flags: { box, mask } }) =>
  (await import('../sample/edit.js')).editClass({ ...o, box, mask });

async function paint(context: Context, name: string, draw: Draw): Promise<Outcome> {
  const { flags, words, signal } = context;
  const [image] = words;
  if (image === undefined) {
    throw expected('a picture', 'IMG', 'nothing', `vqgen ${name} --help shows how it is used.`);
  }
  const opened = await openRun(context, flags.run ?? defaultRun);
  const { n, class: classes, seed, out } = flags;
  const o = { ...opened, ...drawingOf(flags), image, n, classes, seed, out };
  const summary = await draw({ ...o, signal }, context);
  const kept = `${Math.round(100 * summary.kept)} % kept`;
  return {
    summary,
    lines: [
      `${summary.images} pictures in ${formatDuration(summary.seconds)}, ${kept}, seed ${summary.seed}`,
      ...(summary.classes ? [`Classes, in turn: ${[...new Set(summary.classes)].join(', ')}`] : []),
      summary.grid,
    ],
  };
}
