/** What is ended midway: the commands, what each starts from, and what it must have made in the end. */
import fs from 'node:fs';
import path from 'node:path';
import { filesOf, trainedIn } from './states.mjs';

const small =
  '--set stage1.checkpoint_every=2 --set stage1.ch_mult=[1,1] --set stage1.attn_resolutions=[] --set data.drawn=40';
const device = '--device cpu --threads 1 --quiet';

const remove = (folder, ...names) => {
  for (const name of names) fs.rmSync(path.join(folder, name), { recursive: true, force: true });
};

/**
 * `line`: the command, with --resume where what is `begun` is there. `prepare`: makes the folder, a copy of the whole
 * one, what it was before. `made`: what is compared. `whole`: whether what lies there after an ending is the old or
 * the new, for what has no checkpoints. `list`: the operations of the command, in order; `ms`: how long it takes.
 */
export const works = {
  stage1: {
    line: `train-stage1 --config tiny ${small} --run run ${device}`,
    begun: 'run/config.json',
    prepare: (folder) => remove(folder, 'run', 'imported', 'exported', 'out'),
    made: (folder) => trainedIn(path.join(folder, 'run/stage1')),
  },
  prior: {
    line: `train-prior --set prior.checkpoint_every=2 --run run ${device}`,
    begun: 'run/prior',
    prepare: (folder) => remove(folder, 'run/prior'),
    made: (folder) => trainedIn(path.join(folder, 'run/prior')),
  },
  tokenize: {
    line: `tokenize --run run ${device}`,
    prepare: (folder) => remove(folder, 'run/tokens'),
    made: (folder) => filesOf(path.join(folder, 'run/tokens')),
    isWhole: (left, made) => Object.entries(left ?? {}).every(([name, digest]) => made[name] === digest),
  },
  sample: {
    line: `sample --n 2 --seed 1 --run run --out out/grid.png ${device}`,
    prepare: (folder) => remove(folder, 'run/samples', 'out'),
    made: (folder) => ({
      ...filesOf(path.join(folder, 'run/samples')),
      ...filesOf(path.join(folder, 'out')),
    }),
    isWhole: (left, made) => Object.entries(left).every(([name, digest]) => made[name] === digest),
  },
  export: {
    line: 'export --to onnx --run run --out exported',
    first: 'export --to onnx --run run --out exported --precision f16',
    made: (folder) => filesOf(path.join(folder, 'exported')),
    isWhole: (left, made, old) => [made, old].some((state) => JSON.stringify(state) === JSON.stringify(left)),
  },
  import: {
    line: 'import published/vqgan.safetensors --config published/vqgan.yaml --run imported',
    prepare: (folder) => remove(folder, 'imported'),
    made: (folder) => filesOf(path.join(folder, 'imported')),
    isWhole: (left, made) => left === undefined || JSON.stringify(left) === JSON.stringify(made),
    once: true, // refused where its run is there
  },
};

/** What a user types there: to begin, or to go on. */
export const typed = ({ line, begun }, folder) =>
  begun && fs.existsSync(path.join(folder, begun)) ? `${line} --resume` : line;

/** The whole folder, in this order. */
export const making = [
  works.stage1.line,
  works.tokenize.line,
  works.prior.line,
  works.sample.line,
  'export --to safetensors --run run --out published',
  works.export.first,
  works.import.line,
];
