/**
 * Whether checkpoints are what was saved, and which one is used where the newest is not. Who reads a run passes a
 * damaged one over with a word and changes nothing; a training that goes on sets it aside.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, UserError } from '../base/errors.js';
import { removeLeftovers, writeFileAtomic } from '../base/files.js';
import { nth } from '../base/lookup.js';
import { writeProtected } from '../base/obstacles.js';
import type { Reporter } from '../base/progress.js';
import { stepName } from './run.js';
import { type FileSum, openSafetensors, sha256 } from './safetensors.js';
import { missing, readState, type SavedState, stateIn } from './state.js';
import {
  type Checkpoint,
  latestCheckpoint,
  modelFile,
  optimizerFile,
  stateFile,
  stepFolders,
} from './step-folder.js';

/** A checkpoint that is not what was saved. */
export interface Damage {
  readonly checkpoint: Checkpoint;
  /** The file that is damaged or missing. */
  readonly file: string;
  /** What is wrong with it, for `expected`. */
  readonly received: string;
  /** What a reader of its format says of it. */
  readonly cause?: UserError;
}

/** A checkpoint whose files are what was saved, as far as it has checksums and as far as was looked. */
export interface Sound {
  readonly checkpoint: Checkpoint;
  readonly state: SavedState;
  /** Of `model.safetensors`, hexadecimal. */
  readonly sha256: string;
  /** Whether it has checksums. */
  readonly checked: boolean;
  /** The optimiser's file, where it was not to be read and is not even of the length that was saved. */
  readonly flaw?: Pick<Damage, 'file' | 'received'>;
}

export interface Found {
  /** The one to use; undefined where there is none, or all are damaged. */
  readonly sound?: Sound;
  /** Those that would have been used before it. */
  readonly damaged: readonly Damage[];
}

/**
 * The newest checkpoint that is sound.
 *
 * @param o.best the best by validation is wanted, the newest only where that is damaged or there is none
 * @param o.whole also the optimiser must be what was saved; else it is not looked at
 */
export async function soundCheckpoint(
  stageFolder: string,
  o: { best?: boolean; whole?: boolean } = {},
): Promise<Found> {
  const newest = stepFolders(stageFolder).reverse();
  const damaged: Damage[] = [];
  const seen = new Set<number>();
  /** Whether it is sound; what is not is noted. */
  const soundOf = async (checkpoint: Checkpoint): Promise<Sound | undefined> => {
    if (seen.has(checkpoint.step)) return undefined;
    seen.add(checkpoint.step);
    const looked = await look(checkpoint, o.whole ?? false);
    if ('sha256' in looked) return looked;
    damaged.push(looked);
    return undefined;
  };
  // The newest state says which is the best: those whose state cannot be read come first.
  const told = newest.findIndex((checkpoint) => typeof stateIn(checkpoint) !== 'string');
  const before = o.best ? newest.slice(0, Math.max(0, told)) : [];
  const best = o.best && told >= 0 ? readState(nth(newest, told)).best?.step : undefined;
  const preferred = newest.filter(({ step }) => step === best);
  for (const checkpoint of [...before, ...preferred, ...newest]) {
    const sound = await soundOf(checkpoint);
    if (sound) return { sound, damaged };
  }
  return { damaged };
}

/**
 * The newest checkpoint that a training can go on from. The best by validation, which later commands use, is looked at
 * too.
 *
 * @param next what to do where all are damaged
 * @throws UserError where they are
 */
export async function resumable(stageFolder: string, next: string): Promise<Found> {
  const { sound, damaged } = await soundCheckpoint(stageFolder, { whole: true });
  if (!sound && damaged.length > 0) throw damagedOnly(damaged, next);
  const best = stepFolders(stageFolder).find(({ step }) => step === sound?.state.best?.step);
  if (!sound || !best || best.step === sound.checkpoint.step) return { sound, damaged };
  const looked = await look(best, false);
  return 'sha256' in looked ? { sound, damaged } : { sound, damaged: [...damaged, looked] };
}

async function look(checkpoint: Checkpoint, whole: boolean): Promise<Sound | Damage> {
  const { path: folder } = checkpoint;
  const saved = stateIn(checkpoint);
  if (typeof saved === 'string') return { checkpoint, file: stateFile(folder), received: saved };
  const { state, checksums } = saved;
  const model = await sumOf(modelFile(folder), checksums?.model);
  if (typeof model !== 'string') return { checkpoint, file: modelFile(folder), ...model };
  const other = optimizerFile(folder);
  const optimizer = await (whole ? sumOf : lengthOf)(other, checksums?.optimizer);
  const sound = { checkpoint, state, sha256: model, checked: checksums !== undefined };
  if (typeof optimizer === 'string') return sound;
  const flaw = { file: other, ...optimizer };
  return whole ? { checkpoint, ...flaw } : { ...sound, flaw };
}

type Wrong = Pick<Damage, 'received' | 'cause'>;

/** The SHA-256 of a file that is as it was saved, without a checksum at least of its format; or what is wrong. */
async function sumOf(file: string, saved: FileSum | undefined): Promise<string | Wrong> {
  const length = lengthOf(file, saved);
  if (typeof length !== 'string') return length;
  if (!saved) {
    try {
      await (await openSafetensors(file)).close();
    } catch (cause) {
      if (cause instanceof UserError) return { received: 'a file that cannot be read', cause };
      throw cause;
    }
    return sha256(file);
  }
  const sum = await sha256(file);
  return sum === saved.sha256 ? sum : { received: 'other bytes than were saved' };
}

/** The same by its length alone. */
function lengthOf(file: string, saved: FileSum | undefined): string | Wrong {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) return { received: missing };
  const { size } = stat;
  const whole = !saved || size === saved.bytes;
  return whole ? `${size}` : { received: `${size} bytes of the ${saved.bytes} that were saved` };
}

/** Where nothing that is left could be used: what is wrong with the one that should have been. */
export function damagedOnly([first, ...others]: readonly Damage[], next: string): UserError {
  if (!first) throw new Error('internal: nothing is damaged');
  if (first.cause && others.length === 0) return first.cause;
  const more = others.length === 0 ? '' : ` and those of ${others.length} more checkpoints`;
  return expected('the file that was saved', `${first.file}${more}`, first.received, next);
}

/** `stage1/step-00000500/model.safetensors is damaged (other bytes than were saved)` */
export const describeDamage = ({ file, received }: Pick<Damage, 'file' | 'received'>): string =>
  `${file} is damaged (${received})`;

/** Tells of checkpoints that are passed over, for one that is used in their place. */
export function tellOfDamage({ damaged, sound }: Found, reporter: Pick<Reporter, 'warn'>): void {
  if (!sound) return;
  const { checkpoint, flaw } = sound;
  for (const damage of damaged)
    reporter.warn(
      `${describeDamage(damage)}: the checkpoint of step ${checkpoint.step} is used in its place.`,
    );
  if (flaw)
    reporter.warn(
      `${describeDamage(flaw)}: a training cannot go on from it. The weights beside it are used.`,
    );
}

/**
 * Sets damaged checkpoints aside, under names that are never taken for one, and says so; `latest` names the newest that
 * is left.
 */
export async function setAside(
  stageFolder: string,
  { damaged, sound }: Found,
  reporter: Pick<Reporter, 'warn'>,
): Promise<void> {
  for (const damage of damaged) {
    const place = await freeName(stageFolder, `${asideMark}${stepName(damage.checkpoint.step)}`);
    await fs.rename(damage.checkpoint.path, place);
    const on = sound ? `; on from step ${sound.checkpoint.step}` : '';
    reporter.warn(`${describeDamage(damage)}: set aside as ${place}${on}.`);
  }
  await nameLatest(stageFolder);
}

/** Makes `latest` name the newest checkpoint, which a kill between both leaves undone, and clears what else it left. */
export async function nameLatest(stageFolder: string): Promise<void> {
  if (!existsSync(stageFolder) || writeProtected(stageFolder)) return;
  const newest = latestCheckpoint(stageFolder);
  const latest = path.join(stageFolder, 'latest');
  await removeLeftovers(latest);
  const name = newest && `${stepName(newest.step)}\n`;
  if (name === undefined) await fs.rm(latest, { force: true });
  else if (name !== (await fs.readFile(latest, 'utf8').catch(() => ''))) await writeFileAtomic(latest, name);
}

const asideMark = 'damaged-';

/** The model of a checkpoint that was set aside, as it was saved; undefined where none was this one. */
export function setAsideModel(stageFolder: string, sha256: string): Damage | undefined {
  const names = existsSync(stageFolder) ? readdirSync(stageFolder) : [];
  for (const name of names.filter((name) => name.startsWith(asideMark)).sort()) {
    const checkpoint = { step: Number(/step-(\d+)/.exec(name)?.[1]), path: path.join(stageFolder, name) };
    const saved = stateIn(checkpoint);
    if (typeof saved !== 'string' && saved.checksums?.model.sha256 === sha256)
      return { checkpoint, file: modelFile(checkpoint.path), received: 'set aside with its checkpoint' };
  }
  return undefined;
}

async function freeName(folder: string, name: string): Promise<string> {
  const taken = await fs.readdir(folder);
  let free = name;
  for (let n = 2; taken.includes(free); n++) free = `${name}-${n}`;
  return path.join(folder, free);
}
