/** `--out` and other files that a command is to write, looked at before the work. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { checkNoLinks, isSame, isWithin, obstacleAt, obstacleIn } from '../base/obstacles.js';
import { partsOf, runPaths } from '../checkpoint/run.js';
import { shippedName } from '../checkpoint/shipped.js';
import { endingOf, gridEndings } from '../data/grid.js';
import type { Precision } from '../engine/device.js';
import type { Choice } from '../stage2-transformer/choose.js';
import type { Growth } from '../stage2-transformer/guidance.js';
import type { Passes } from '../stage2-transformer/passes.js';

/**
 * What the command reads: files and folders, in which existing files are kept too. What is undefined is not read.
 *
 * @param run of which all but samples, exports and what else a user put there is read
 */
export interface Inputs {
  readonly run?: string;
  readonly read?: readonly (string | undefined | null)[];
}

/** @throws UserError when no file can be written there, or it is one that the command reads */
export function checkOut(
  out: string | undefined,
  inputs: Inputs,
  option = '--out',
  example = 'grid.png',
): void {
  if (out === undefined) return;
  const obstacle = obstacleAt(out) ?? (isInput(out, inputs) ? 'which the command reads' : undefined);
  if (!obstacle) return;
  throw expected('a file in a folder', option, `${out}, ${obstacle}`, `For example: ${option} ${example}`);
}

function isInput(out: string, { run, read = [] }: Inputs): boolean {
  const own = run === undefined ? [] : partsOf(run);
  if (own.some((part) => isWithin(out, part))) return true;
  const isPicture = ['', ...gridEndings].includes(endingOf(out));
  const within = isPicture && existsSync(out) ? isWithin : isSame; // Of a folder only pictures are read.
  return read.some((place) => place != null && within(out, place));
}

/** @throws UserError as `checkOut`, and for a file that is to be of another format than pictures are written in */
export function checkPicture(out: string | undefined, inputs: Inputs): void {
  checkOut(out, inputs);
  if (out === undefined || ['', ...gridEndings].includes(endingOf(out))) return;
  throw expected(`a file that ends in ${gridEndings.join(', ')}`, '--out', out);
}

/** Why no picture can be written into the run's samples; undefined where one can. */
export const obstacleInSamples = (run: string): string | undefined => obstacleIn(runPaths(run).samples);

/** @throws UserError for a link among a run's samples, where pictures are written too */
export function checkSamples(run: string): void {
  if (shippedName(run) === undefined) checkNoLinks(run, ['samples']);
}

/** @throws UserError when `--out` is not given and the run, where pictures go then, takes none */
export function checkOutOrRun(out: string | undefined, { run, read }: Inputs & { run: string }): void {
  checkPicture(out, { run, read });
  checkSamples(run);
  const obstacle = out === undefined ? obstacleInSamples(run) : undefined;
  if (!obstacle) return;
  throw expected(
    'a run that takes pictures',
    '--run',
    `${run}, ${obstacle}`,
    'For a picture elsewhere: --out grid.png',
  );
}

/** What decides a picture beside its number. */
interface Settings {
  readonly choice: Choice;
  readonly cfgScale: number;
  readonly growth?: Growth;
  readonly passes?: Passes;
  /** Names, in turn. */
  readonly classes: readonly string[];
  /** Of the last grid that is drawn. */
  readonly only?: string;
}

/**
 * The folder of what a sampler draws, the same for the same pictures: `seed-3`, and what is set otherwise than usual,
 * as in `seed-3_class-cat+car_top-k-5`.
 */
export function samplesName(o: Settings & { seed: number; precision?: Precision }, usual: Settings): string {
  const { choice, cfgScale, growth, passes, precision = 'f32' } = o;
  const differing = (name: string, value?: number | string, usually?: number | string) =>
    value === usually ? [] : [`${name}-${value}`];
  return [
    `seed-${o.seed}`,
    ...(o.classes.join() === usual.classes.join() ? [] : [`class-${joined(o.classes)}`]),
    ...differing('cfg-scale', cfgScale, usual.cfgScale),
    ...(cfgScale === 1 ? [] : differing('cfg-growth', growth, usual.growth)),
    ...differing('temperature', choice.temperature, usual.choice.temperature),
    ...differing('top-k', choice.topK, usual.choice.topK),
    ...differing('top-p', choice.topP, usual.choice.topP),
    ...differing('decode-steps', passes?.steps, usual.passes?.steps),
    ...differing('order', passes?.order, usual.passes?.order),
    ...differing('choice-temperature', passes?.choiceTemperature, usual.passes?.choiceTemperature),
    ...differing('revise', passes?.revise, usual.passes?.revise),
    ...(o.only === undefined ? [] : [`only-${o.only}`]),
    ...(precision === 'f32' ? [] : [precision]),
  ].join('_');
}

const longestName = 100;

/**
 * Names as part of a file's name: what file systems refuse is escaped, and what is too long is told apart by a digest.
 */
export function joined(names: readonly string[]): string {
  const text = names
    .map((name) =>
      name.replace(
        /[%+/\\:*?"<>|\p{Cc}]/gu,
        (c) => `%${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
      ),
    )
    .join('+');
  if (Buffer.byteLength(text) <= longestName) return text;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return `${[...text].slice(0, 20).join('')}-${digest}`;
}
