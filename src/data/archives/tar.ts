/**
 * Tar files: of a folder, or WebDataset shards, where files whose names are the same up to the first dot belong
 * together and `.cls` or `.json` among them tells the class. One pass from header to header notes where each picture
 * lies; the bytes between are not read then.
 */
import headers from 'tar-stream/headers.js';
import { must } from '../../base/lookup.js';
import { headBytes } from '../picture-files.js';
import type { ArchiveFile, Reader } from './file.js';
import { checkCount, checkSize, Gathered, type Listing, withoutTop } from './listing.js';

/** Bytes of the archive. */
interface Place {
  readonly from: number;
  readonly size: number;
}

const block = 512;

/** @throws Error in words about what is no whole tar file */
export async function listTar(file: ArchiveFile): Promise<Listing> {
  const { gathered, labels } = await file.reading(async (reader) => {
    const gathered = new Gathered<Place>();
    const sidecars = new Map<string, Record<string, Place>>();
    let count = 0;
    for (const { name, type, ...place } of entriesOf(reader, file.size)) {
      checkCount(++count);
      if (count % 1000 === 0) await new Promise(setImmediate);
      if (type === 'symlink' || type === 'link') gathered.leftOut.push({ name, reason: 'a link' });
      if (type !== 'file' && type !== 'contiguous-file') continue;
      const { key, ending } = partsOf(name);
      if (tells.includes(ending)) sidecars.set(key, { ...sidecars.get(key), [ending]: place });
      else if (!silentEndings.includes(ending))
        gathered.add(name, place, () => reader.readNow(place.from, Math.min(headBytes, place.size)));
    }
    const labels = gathered.names.map((name) => labelOf(reader, sidecars.get(partsOf(name).key), name));
    return { gathered, labels };
  });
  const { leftOut, others, byBytes, places } = gathered;
  const at = (index: number): Place => must(places[index], 'entry');
  return {
    names: withoutTop(gathered.names),
    ...(labels.some((label) => label !== undefined) && { classNames: labels }),
    ...{ leftOut, others, byBytes },
    size: (i) => at(i).size,
    read: (i) =>
      file.reading(({ read }) => {
        checkSize(at(i).size);
        return read(at(i).from, at(i).size);
      }),
  };
}

interface Entry extends Place {
  readonly name: string;
  readonly type: string | null;
}

/** Of names and records that stand before a header. */
const mostHeaderBytes = 2 ** 20;

function* entriesOf({ readNow }: Reader, size: number): Generator<Entry> {
  let longPath: string | undefined;
  let pax: Record<string, string> = {};
  let ended = false;
  for (let at = 0; at + block <= size && !ended; ) {
    const header = headerIn(readNow(at, block));
    if (!header) {
      ended = true;
      continue;
    }
    const from = at + block;
    const length = pax.size === undefined ? header.size : Number(pax.size);
    const name = (longPath ?? pax.path ?? header.name).replace(/^(\.\/+)+/, '');
    if (!Number.isSafeInteger(length) || length < 0 || from + length > size)
      throw new Error(`it ends within ${name}`);
    at = from + Math.ceil(length / block) * block;
    if (isBefore(header.type)) {
      if (length > mostHeaderBytes) throw new Error('a name in it has more than 1 MB');
      const data = readNow(from, length);
      if (header.type === 'pax-header') pax = headers.decodePax(data);
      else if (header.type === 'gnu-long-path') longPath = headers.decodeLongPath(data, 'utf-8');
      continue;
    }
    if (name.startsWith('/') || name.split('/').includes('..')) throw new Error(`${name} leads out of it`);
    yield { name, type: header.type, from, size: length };
    longPath = undefined;
    pax = {};
  }
  if (!ended) throw new Error('it ends without the blocks that close a tar file');
}

function headerIn(bytes: Buffer): ReturnType<typeof headers.decode> {
  try {
    return headers.decode(bytes, 'utf-8', true);
  } catch (cause) {
    throw new Error('a header in it does not have its sum', { cause });
  }
}

/** Whether what it holds tells of the entry behind it. */
const isBefore = (type: string | null): boolean =>
  ['pax-header', 'pax-global-header', 'gnu-long-path', 'gnu-long-link-path'].includes(`${type}`);

/** Surest first. */
const tells = ['cls', 'json'];

/** Captions, which stand beside every picture: nobody wants to be told that they are no pictures. */
const silentEndings = ['txt', 'caption'];

/** WebDataset's key, which ends at the first dot of the last part, and what stands behind that. */
function partsOf(name: string): { key: string; ending: string } {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  return dot < 0
    ? { key: name, ending: '' }
    : { key: name.slice(0, dot), ending: name.slice(dot + 1).toLowerCase() };
}

const mostLabelBytes = 2 ** 20;

function labelOf(
  { readNow }: Reader,
  sidecars: Record<string, Place> | undefined,
  name: string,
): string | undefined {
  for (const ending of tells) {
    const place = sidecars?.[ending];
    if (!place) continue;
    if (place.size > mostLabelBytes) throw new Error(`what tells the class of ${name} has more than 1 MB`);
    const text = readNow(place.from, place.size).toString('utf8').trim();
    const label = ending === 'cls' ? text : labelIn(text, name);
    if (label) return label;
  }
  return undefined;
}

/** A name rather than a number. */
function labelIn(json: string, name: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Error(`the .json of ${name} is none`);
  }
  const found = ['class_name', 'class', 'label', 'cls']
    .map((key) => (value as Record<string, unknown> | null)?.[key])
    .filter((label) => typeof label === 'string' || Number.isInteger(label));
  const label = found.find((label) => typeof label === 'string') ?? found[0];
  return label === undefined ? undefined : `${label}`;
}
