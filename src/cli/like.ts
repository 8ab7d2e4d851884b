/** `vqgen sample --like`: which run and device draw a picture again, and what is said of it. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { shardText } from '../base/shard.js';
import { markOutputs, runAt } from '../checkpoint/shipped.js';
import type { Given } from '../sample/like.js';
import type { Context } from './command.js';
import { exportedOf } from './exported.js';
import { drawingFlags, type FlagName, shardFlags } from './flags.js';
import { openDevice, openRun } from './open.js';
import type { Outcome } from './outcome.js';

/** What the recipe says. */
const said: readonly FlagName[] = [
  ...(['n', 'class', 'size', ...drawingFlags, 'only', 'precision', 'seed'] as const),
  ...shardFlags,
];

/** @throws UserError for options that say what the recipe says */
export async function drawAlike(context: Context, picture: string): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const also = said.find((name) => flags[name] !== undefined);
  if (also) {
    const { [also]: value, size: { width, height } = {}, shard } = flags;
    const texts: Partial<Record<FlagName, string>> = {
      size: `${width}x${height}`,
      shard: shard && shardText(shard),
    };
    const received = texts[also] ?? `${value}`;
    throw expected(
      'nothing',
      `--${also} beside --like`,
      received,
      'The picture says it: leave out one of the two.',
    );
  }
  const { like, readGiven } = await import('../sample/like.js');
  const given = await readGiven(picture);
  const exported = await exportedOf(flags);
  const run = flags.run ?? exported?.folder ?? runOf(given);
  // A GPU of before need not be here; where one is, it is taken anyway.
  const usual = given.recipe.device === 'webgpu' ? undefined : given.recipe.device;
  const opened = exported
    ? { run, device: await openDevice(context, undefined, 'cpu'), reporter }
    : await openRun(context, run, flags.device ?? usual);
  const { condition, model, out } = flags;
  const summary = await like({ ...opened, given, open: exported?.source, model, condition, out, signal });
  await markOutputs(run);
  const { file, same, differs } = summary;
  return {
    summary,
    lines: [same ? `The same as ${picture}, byte for byte` : `Not the same as ${picture}:`, ...differs, file],
  };
}

/** A name that is one folder's. */
const plain = /^[^./\\:\p{Cc}][^/\\:\p{Cc}]*$/u;

/** The run that the recipe names, where there is one of this name. @throws UserError where there is none */
function runOf({ file, recipe }: Given): string {
  const { run: name, weights } = recipe;
  if ('decoder.onnx' in weights)
    throw expected(`the export that drew ${file}`, '--model', 'nothing', `Its folder was called ${name}.`);
  const places = plain.test(name) ? [path.join('checkpoints', name), runAt(name)] : [];
  const found = places.find((place) => existsSync(path.join(place, 'config.json')));
  if (found !== undefined) return found;
  const next = `It was called ${name}, and no run of this name is here or in checkpoints: --run DIR`;
  throw expected(`the run that drew ${file}`, '--run', 'nothing', next);
}
