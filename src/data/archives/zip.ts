/** Zip archives of a folder of pictures. yauzl reads the list of what is in them; each entry is inflated by itself. */
import { promisify } from 'node:util';
import { constants, crc32, inflateRaw, inflateRawSync } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise } from 'yauzl';
import { must } from '../../base/lookup.js';
import { Pieces } from '../../base/pieces.js';
import { headBytes } from '../picture-files.js';
import type { ArchiveFile, Reader } from './file.js';
import { checkCount, checkSize, Gathered, type Listing, withoutTop } from './listing.js';

type Kept = Pick<
  Entry,
  'compressedSize' | 'uncompressedSize' | 'compressionMethod' | 'crc32' | 'relativeOffsetOfLocalHeader'
> & { readonly encrypted: boolean };

const inflatedBeside = promisify(inflateRaw) as (
  data: Buffer,
  o: { maxOutputLength: number },
) => Promise<Buffer>;

/** Bytes up to which waiting is quicker, and leaves no stream for each of many small entries to be collected. */
const small = 2 ** 18;

async function inflated(data: Buffer, size: number): Promise<Buffer> {
  const o = { maxOutputLength: Math.max(size, 1) };
  return size <= small ? inflateRawSync(data, o) : inflatedBeside(data, o);
}

const [stored, deflated] = [0, 8];

/** @throws Error in words about what is no whole zip archive */
export async function listZip(file: ArchiveFile): Promise<Listing> {
  const found = await file.reading(async (reader) => {
    const gathered = new Gathered<Kept>();
    const pieces = new Pieces(reader.descriptor, file.size);
    const zip = await fromRandomAccessReaderPromise(pieces, file.size, { autoClose: false });
    checkCount(zip.entryCount);
    for await (const entry of zip.eachEntry()) {
      const { fileName: name } = entry;
      if (name.endsWith('/')) continue;
      if (entry.externalFileAttributes >>> 28 === link) {
        gathered.leftOut.push({ name, reason: 'a link' });
        continue;
      }
      const { compressedSize, uncompressedSize, compressionMethod, crc32, relativeOffsetOfLocalHeader } =
        entry;
      const kept = {
        ...{ compressedSize, uncompressedSize, compressionMethod, crc32, relativeOffsetOfLocalHeader },
        encrypted: entry.isEncrypted(),
      };
      gathered.add(name, kept, () => headOf(reader, kept));
    }
    checkApart(gathered.places, file.size);
    return gathered;
  });
  const { leftOut, others, byBytes, places } = found;
  const at = (index: number): Kept => must(places[index], 'entry');
  return {
    names: withoutTop(found.names),
    ...{ leftOut, others, byBytes },
    size: (i) => at(i).compressedSize + at(i).uncompressedSize,
    read: (i) => file.reading((reader) => contentOf(reader, at(i))),
  };
}

/** What Unix writes above the attributes of a symbolic link. */
const link = 0o12;

/** Entries that share bytes let a small archive hold endless pictures. */
function checkApart(entries: readonly Kept[], size: number): void {
  let end = 0;
  const begin = (entry: Kept): number => entry.relativeOffsetOfLocalHeader;
  for (const entry of [...entries].sort((a, b) => begin(a) - begin(b))) {
    if (begin(entry) < end) throw new Error('its entries lie in each other');
    end = begin(entry) + headerBytes + entry.compressedSize;
  }
  if (end > size) throw new Error('it ends too early');
}

const headerBytes = 30;

function dataStart(header: Buffer, { relativeOffsetOfLocalHeader }: Kept): number {
  if (header.readUInt32LE(0) !== 0x04034b50) throw new Error('its entry is damaged');
  return relativeOffsetOfLocalHeader + headerBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
}

async function contentOf({ read }: Reader, entry: Kept): Promise<Buffer> {
  const { compressedSize, uncompressedSize: size, compressionMethod: method } = entry;
  if (entry.encrypted) throw new Error('encrypted');
  checkSize(Math.max(size, compressedSize));
  const from = dataStart(await read(entry.relativeOffsetOfLocalHeader, headerBytes), entry);
  const data = await read(from, compressedSize);
  if (method !== stored && method !== deflated)
    throw new Error(`compressed by method ${method}: only deflate is read`);
  const bytes = method === stored ? data : await inflated(data, size).catch(damagedAs);
  if (bytes.length !== size || crc32(bytes) !== entry.crc32) throw damaged();
  return bytes;
}

const damaged = (): Error => new Error('damaged: it is not what the archive says');

function damagedAs(cause: unknown): never {
  throw Object.assign(damaged(), { cause });
}

/** The first bytes of an entry, as far as they are to be had from its first part. */
function headOf({ readNow }: Reader, entry: Kept): Buffer {
  const none = Buffer.alloc(0);
  if (entry.encrypted || entry.compressedSize === 0) return none;
  const from = dataStart(readNow(entry.relativeOffsetOfLocalHeader, headerBytes), entry);
  const data = readNow(from, Math.min(entry.compressedSize, 512));
  if (entry.compressionMethod === stored) return data.subarray(0, headBytes);
  if (entry.compressionMethod !== deflated) return none;
  try {
    return inflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return none;
  }
}
