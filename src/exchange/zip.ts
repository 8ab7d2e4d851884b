/**
 * Zip archives as PyTorch writes them: entries are stored, never compressed, so that a file cannot unfold into more
 * than it is. Read by yauzl; written here, because PyTorch wants values at multiples of 64 bytes.
 */
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise } from 'yauzl';
import { expected, type UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { Pieces } from '../base/pieces.js';

/** Where an entry's bytes lie in the archive. */
export interface ZipEntry {
  readonly begin: number;
  readonly size: number;
}

export interface Zip {
  readonly names: readonly string[];
  /**
   * Of some of the entries.
   *
   * @throws UserError where one does not lie in the file, or two lie in the same place
   */
  places(names: readonly string[]): Promise<Map<string, ZipEntry>>;
}

/** A checkpoint of 400 layers with its optimiser has some 5000. */
const mostEntries = 20_000;

/** @throws UserError for an archive that is cut short or damaged, or one of whose entries is compressed */
export async function readZip(handle: FileHandle, size: number, file: string): Promise<Zip> {
  const told = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Compressed) throw compressed(file, error.message);
      throw damaged(file, (error as Error).message, error);
    }
  };
  return told(async () => {
    const zip = await fromRandomAccessReaderPromise(new Pieces(handle.fd, size), size, { autoClose: false });
    if (zip.entryCount > mostEntries) throw new Error(`it has ${zip.entryCount} parts`);
    const entries = new Map<string, Entry>();
    for await (const entry of zip.eachEntry()) {
      const { fileName } = entry;
      if (entry.compressionMethod !== 0 || entry.isEncrypted()) throw new Compressed(fileName);
      if (entries.has(fileName)) throw new Error(`${fileName} is in it twice`);
      entries.set(fileName, entry);
    }
    return {
      names: [...entries.keys()],
      places: (names) =>
        told(async () => {
          const places = new Map<string, ZipEntry>();
          for (const name of names) {
            const entry = must(entries.get(name), name);
            const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
            places.set(name, { begin: fileDataStart, size: entry.uncompressedSize });
          }
          checkApart(places);
          return places;
        }),
    };
  });
}

class Compressed extends Error {}

const compressed = (file: string, name: string): UserError =>
  expected(
    'a PyTorch file, whose parts are stored as they are,',
    file,
    `an archive in which ${name} is compressed`,
    'Save it again with torch.save.',
  );

const damaged = (file: string, what: string, cause?: unknown): UserError =>
  expected(
    'a PyTorch file',
    file,
    `a damaged one: ${what.replace(/\.$/, '')}`,
    'It may be cut short: copy it again.',
    cause,
  );

function checkApart(places: ReadonlyMap<string, ZipEntry>): void {
  let end = 0;
  for (const [name, { begin, size }] of [...places].sort(([, a], [, b]) => a.begin - b.begin)) {
    if (begin < end) throw new Error(`${name} lies in another part`);
    end = begin + size;
  }
}

const local = 0x04034b50;
const central = 0x02014b50;
const end = 0x06054b50;
const end64 = 0x06064b50;
const locator64 = 0x07064b50;

/** What fits in no more than 32 bits is in a 64-bit record instead. */
const full = 0xffffffff;

/** Writes an archive of stored entries in turn; each entry's bytes begin at a multiple of 64, as PyTorch has them. */
export async function writeZip(
  handle: FileHandle,
  entries: AsyncIterable<readonly [name: string, bytes: Uint8Array]>,
): Promise<void> {
  let at = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    for (let done = 0; done < bytes.length; )
      done += (await handle.write(bytes, done, Math.min(1 << 24, bytes.length - done), at + done))
        .bytesWritten;
    at += bytes.length;
  };
  const directory: Buffer[] = [];
  for await (const [name, bytes] of entries) {
    const title = Buffer.from(name);
    const crc = crc32(bytes);
    const padding = (64 - ((at + 30 + title.length + 4) % 64)) % 64;
    const offset = at;
    await write(
      Buffer.concat([
        header(local, { crc, size: bytes.length, name: title, extra: 4 + padding }),
        title,
        filler(padding),
      ]),
    );
    await write(bytes);
    const extra = offset >= full ? offset64(offset) : Buffer.alloc(0);
    const entry = header(central, { crc, size: bytes.length, name: title, extra: extra.length });
    const tail = Buffer.alloc(14); // Comment, disk, attributes: none; then the offset.
    tail.writeUInt32LE(Math.min(offset, full), 10);
    directory.push(entry, tail, title, extra);
  }
  const from = at;
  const count = directory.length / 4;
  const listed = Buffer.concat(directory);
  await write(listed);
  await write(ending({ count, from, length: listed.length }));
}

function header(signature: number, o: { crc: number; size: number; name: Buffer; extra: number }): Buffer {
  if (o.size >= full) throw new RangeError('a tensor of more than 4 GB');
  const made = signature === central ? 2 : 0; // The directory also says who made it.
  const bytes = Buffer.alloc(30 + made);
  bytes.writeUInt32LE(signature, 0);
  bytes.writeUInt16LE(made && 45, 4);
  bytes.writeUInt16LE(45, 4 + made);
  bytes.writeUInt16LE(0x0800, 6 + made); // Names are UTF-8.
  bytes.writeUInt16LE(0x21, 12 + made); // 1 January 1980.
  bytes.writeUInt32LE(o.crc, 14 + made);
  bytes.writeUInt32LE(o.size, 18 + made);
  bytes.writeUInt32LE(o.size, 22 + made);
  bytes.writeUInt16LE(o.name.length, 26 + made);
  bytes.writeUInt16LE(o.extra, 28 + made);
  return bytes;
}

/** A field that PyTorch fills up with. */
function filler(length: number): Buffer {
  const bytes = Buffer.alloc(4 + length);
  bytes.write('FB');
  bytes.writeUInt16LE(length, 2);
  return bytes;
}

function offset64(offset: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16LE(1, 0);
  bytes.writeUInt16LE(8, 2);
  bytes.writeBigUInt64LE(BigInt(offset), 4);
  return bytes;
}

function ending({ count, from, length }: { count: number; from: number; length: number }): Buffer {
  const wide = Buffer.alloc(76);
  wide.writeUInt32LE(end64, 0);
  wide.writeBigUInt64LE(44n, 4);
  wide.writeUInt16LE(45, 12);
  wide.writeUInt16LE(45, 14);
  for (const [at, value] of [
    [24, count],
    [32, count],
    [40, length],
    [48, from],
  ] as const)
    wide.writeBigUInt64LE(BigInt(value), at);
  wide.writeUInt32LE(locator64, 56);
  wide.writeBigUInt64LE(BigInt(from + length), 64);
  wide.writeUInt32LE(1, 72);
  const short = Buffer.alloc(22);
  short.writeUInt32LE(end, 0);
  short.writeUInt16LE(Math.min(count, 0xffff), 8);
  short.writeUInt16LE(Math.min(count, 0xffff), 10);
  short.writeUInt32LE(Math.min(length, full), 12);
  short.writeUInt32LE(Math.min(from, full), 16);
  const needed = from >= full || count >= 0xffff;
  return needed ? Buffer.concat([wide, short]) : short;
}
