/**
 * What shards leave of a work until it is merged: a folder each, `3-of-8`, there whole or not at all, whose
 * `part.json` says what it is a part of.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { z } from 'zod';
import { expected, type UserError } from '../base/errors.js';
import { removeFolder, writeFolderAtomic } from '../base/files.js';
import { isRecord } from '../base/json.js';
import { type Shard, shardText } from '../base/shard.js';

/** Where the parts of a work lie, and who makes them. */
export interface PartsPlace {
  readonly home: string;
  /** Of their folders' names, before `3-of-8`. */
  readonly prefix: string;
  /** `vqgen tokenize` */
  readonly command: string;
}

/** What decides the whole work, by words for people: parts of another cannot be merged. Plain JSON. */
export type Work = Readonly<Record<string, unknown>>;

const description = 'part.json';

export const partFolder = ({ home, prefix }: PartsPlace, { index, count }: Shard): string =>
  path.join(home, `${prefix}${index}-of-${count}`);

/** @param write puts the files into the folder that it is given. @returns what is to be known of them when merged */
export async function writePart(
  place: PartsPlace,
  shard: Shard,
  work: Work,
  write: (folder: string) => Promise<object>,
): Promise<void> {
  await writeFolderAtomic(partFolder(place, shard), async (folder) => {
    const notes = await write(folder);
    await fs.writeFile(path.join(folder, description), `${JSON.stringify({ work, notes })}\n`);
  });
}

/** What `writePart` noted; undefined where no part is, or one that is damaged. */
export function readPart<T>(
  place: PartsPlace,
  shard: Shard,
  notes: z.ZodType<T>,
): { work: Work; notes: T } | undefined {
  const file = path.join(partFolder(place, shard), description);
  if (!existsSync(file)) return undefined;
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!isRecord(found) || !isRecord(found.work)) return undefined;
    return { work: found.work, notes: notes.parse(found.notes) };
  } catch {
    return undefined;
  }
}

/** The word for what differs first; undefined where it is the same work. */
export const otherThan = (wanted: Work, found: Work): string | undefined =>
  [...new Set([...Object.keys(wanted), ...Object.keys(found)])].find(
    (key) => JSON.stringify(wanted[key]) !== JSON.stringify(found[key]),
  );

/**
 * All parts, in order.
 *
 * @param o.shards how many there are, where parts of several divisions lie there
 * @param o.now what of the work is known to be so now; all else must be as in the first
 * @throws UserError where one is missing, or of another work, saying which and what to type
 */
export function allParts<T>(
  place: PartsPlace,
  { shards, notes, now = {} }: { shards?: number; notes: z.ZodType<T>; now?: Work },
): { shard: Shard; work: Work; notes: T }[] {
  const count = shards ?? countIn(place);
  const all = Array.from({ length: count }, (_, i) => ({ index: i + 1, count }));
  const found = all.map((shard) => ({ shard, ...readPart(place, shard, notes) }));
  const missing = found.filter(({ work }) => work === undefined).map(({ shard }) => shard);
  if (missing.length > 0) throw withoutParts(place, missing);
  const there = found as { shard: Shard; work: Work; notes: T }[];
  const wanted = { ...there[0]?.work, ...now };
  for (const { shard, work: own } of there) {
    const other = otherThan(wanted, own);
    if (other !== undefined) throw ofAnother(place, shard, other, other in now ? 'now' : 'of part 1');
  }
  return there;
}

/** @throws UserError for parts that are missing or damaged */
export function withoutParts(place: PartsPlace, missing: readonly Shard[], how = 'missing'): UserError {
  const numbers = missing.map(({ index }) => index);
  const many = numbers.length > 1;
  const named = many
    ? `parts ${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)}`
    : `part ${numbers[0]}`;
  return expected(
    'every part',
    '--merge',
    `${place.home}, where ${named} of ${missing[0]?.count} ${many ? 'are' : 'is'} ${how}`,
    again(place, missing),
  );
}

const again = ({ command }: PartsPlace, shards: readonly Shard[]): string =>
  `Run ${shards.map((shard) => `${command} --shard ${shardText(shard)}`).join(', then ')}, as the others were run.`;

function ofAnother(place: PartsPlace, shard: Shard, other: string, than: string): UserError {
  const received = `part ${shard.index} of ${shard.count}, whose ${other} is not that ${than}`;
  return expected('parts of one work', `--merge in ${place.home}`, received, again(place, [shard]));
}

/** Into how many shards the work was divided. */
function countIn({ home, prefix, command }: PartsPlace): number {
  const counts = new Set<number>();
  for (const name of existsSync(home) ? readdirSync(home) : []) {
    const [, before, count] = /^(|.+-)\d+-of-(\d+)$/.exec(name) ?? [];
    if (before === prefix) counts.add(Number(count));
  }
  const [first, ...others] = [...counts].sort((a, b) => a - b);
  if (first === undefined) {
    const next = `First ${command} --shard 1/N, --shard 2/N and so on, one process each.`;
    throw expected('parts that shards left', '--merge', `${home}, which holds none`, next);
  }
  if (others.length === 0) return first;
  const received = `${home} with parts of ${[first, ...others].join(' and of ')}`;
  throw expected('parts of one number of shards', '--merge', received, `Say which: --shards ${first}`);
}

/** Once they are merged. */
export async function removeParts(place: PartsPlace, parts: readonly { shard: Shard }[]): Promise<void> {
  for (const { shard } of parts) await removeFolder(partFolder(place, shard));
  await fs.rmdir(place.home).catch(() => {}); // where nothing else lies in it
}
