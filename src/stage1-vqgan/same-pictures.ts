/** Whether the pictures of a run are those that it was trained on: `pictures.json` in the run notes them. */
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { readRegularText } from '../base/regular-file.js';
import { runPaths } from '../checkpoint/run.js';
import type { DataConfig } from '../config/schema.js';
import type { Splits } from '../data/dataset.js';

export const folderKeys = ['dir', 'val_dir'] as const;
export type FolderKey = (typeof folderKeys)[number];

/** The option by which a run goes on though they have changed. */
export const changedOption = '--changed-pictures';

const names = z.array(z.string());
const contents = z.array(z.string().nullable());

/**
 * Of each folder of the config the names of its pictures, and what their files held, in the same order; null: it could
 * not be read. Runs of before note names alone.
 */
const schema = z
  .object({
    ...{ dir: names.optional(), val_dir: names.optional() },
    contents: z.object({ dir: contents.optional(), val_dir: contents.optional() }).optional(),
  })
  .refine((note) =>
    folderKeys.every((key) => {
      const held = note.contents?.[key];
      return held === undefined || held.length === note[key]?.length;
    }),
  );

type Pictures = z.infer<typeof schema>;

const mostNoteBytes = 2 ** 30;

/** Notes which pictures a run is trained on, so that they are known again, here and elsewhere. */
export async function recordPictures(
  run: string,
  { dir }: Pick<DataConfig, 'dir'>,
  pictures: readonly Now[],
): Promise<void> {
  if (dir === null) return;
  const note: Pictures = {};
  for (const [i, held] of pictures.entries()) {
    const key = i === 0 ? 'dir' : 'val_dir';
    note[key] = [...held.keys()];
    const contents = [...held.values()].filter((content) => content !== undefined);
    if (contents.length === held.size) note.contents = { ...note.contents, [key]: contents };
  }
  await writeFileAtomic(runPaths(run).pictures, `${JSON.stringify(note)}\n`);
}

/** Nothing where there is no note. @throws UserError for something else than a note */
export function readPictures(run: string): Pictures {
  const file = runPaths(run).pictures;
  if (!existsSync(file)) return {};
  try {
    return schema.parse(JSON.parse(readRegularText(file, mostNoteBytes)));
  } catch (cause) {
    throw expected('the JSON that vqgen saved', file, 'something else', `Remove ${file}.`, cause);
  }
}

/** Names, and what each one holds, as far as that is known. */
export type Now = ReadonlyMap<string, string | null | undefined>;

/** Those of each folder of the config, by their names alone. */
export function namesIn({ train, val }: Splits): Now[] {
  const sources = val.source === train.source ? [train.source] : [train.source, val.source];
  return sources.map((source) => new Map(source.names.map((name) => [name, undefined])));
}

/**
 * How the pictures differ from those that are noted in the run: `3 were added (a.jpg, b.jpg, c.jpg)`; nothing where
 * they do not, or none are noted.
 */
export function changesSince(run: string, now: readonly Now[]): { key: FolderKey; changes: string }[] {
  const noted = readPictures(run);
  return now.flatMap((pictures, i) => {
    const key: FolderKey = i === 0 ? 'dir' : 'val_dir';
    const known = noted[key];
    const changes = known ? changesIn(known, noted.contents?.[key], pictures) : '';
    return changes ? [{ key, changes }] : [];
  });
}

function changesIn(
  known: readonly string[],
  contents: readonly (string | null)[] | undefined,
  now: Now,
): string {
  const before = new Map(known.map((name, i) => [name.normalize('NFC'), contents?.[i]]));
  const [appeared, lost, other]: string[][] = [[], [], []];
  for (const [name, held] of now) {
    const was = before.get(name.normalize('NFC'));
    if (was === undefined || held === undefined || was === held) continue;
    (was === null ? appeared : held === null ? lost : other)!.push(name);
  }
  const given = [...now.keys()];
  return [
    some(without(given, known), 'was added', 'were added'),
    some(without(known, given), 'is gone', 'are gone'),
    some(other!, 'holds something else', 'hold something else'),
    some(lost!, 'can no longer be read', 'can no longer be read'),
    some(appeared!, 'can be read only now', 'can be read only now'),
  ]
    .filter(Boolean)
    .join(', ');
}

/** Those that are not among others; the two Unicode spellings of an accent are one name. */
export function without(names: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others.map((name) => name.normalize('NFC')));
  return names.filter((name) => !known.has(name.normalize('NFC')));
}

const shown = 3;

function some(names: readonly string[], one: string, many: string): string {
  if (names.length === 0) return '';
  const more = names.length > shown ? ` and ${names.length - shown} more` : '';
  return `${names.length} ${names.length === 1 ? one : many} (${names.slice(0, shown).join(', ')}${more})`;
}

/**
 * For a run that goes on.
 *
 * @param o.changed whether it may with other pictures: then what has changed is a warning
 * @throws UserError that counts and names what has changed
 */
export function checkSame(
  run: string,
  now: readonly Now[],
  o: { data: Pick<DataConfig, FolderKey>; changed: boolean; reporter: Reporter },
): void {
  for (const { key, changes } of changesSince(run, now)) {
    if (o.changed) {
      o.reporter.warn(
        `Of the pictures in ${o.data[key]} ${changes}: the training goes on with them as they are.`,
      );
      continue;
    }
    throw expected(
      `the pictures that ${run} was trained on`,
      `data.${key}`,
      `${o.data[key]}, of which ${changes}`,
      `Put them back as they were, or go on with what is there now: --resume ${changedOption}`,
    );
  }
}
