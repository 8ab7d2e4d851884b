/**
 * Zip archives as PyTorch writes them: entries are stored, never compressed, so that a file cannot unfold into more
 * than it is. APPNOTE.TXT 6.3 (PKWARE), with its 64-bit records.
 */
import type { FileHandle } from 'node:fs/promises';
import { expected, type UserError } from '../base/errors.js';

/** Where an entry's bytes lie in the archive. */
export interface ZipEntry {
  readonly begin: number;
  readonly size: number;
}

const local = 0x04034b50;
const central = 0x02014b50;
const end = 0x06054b50;
const end64 = 0x06064b50;
const locator64 = 0x07064b50;

/** What fits in no more than 32 bits is in a 64-bit record instead. */
const full = 0xffffffff;
const longestDirectory = 1 << 24;

export async function readAt(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(1 << 24, length - at), from + at);
    if (bytesRead === 0) throw new RangeError('it ends too early');
    at += bytesRead;
  }
  return bytes;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The entries of an archive by name.
 *
 * @throws UserError when it is cut short, damaged, or an entry is compressed
 */
export async function readZip(
  handle: FileHandle,
  size: number,
  file: string,
): Promise<Map<string, ZipEntry>> {
  try {
    return await readDirectory(handle, size, file);
  } catch (error) {
    if (error instanceof RangeError) throw damaged(file, error.message, error);
    throw error;
  }
}

function damaged(file: string, what: string, cause?: unknown): UserError {
  return expected(
    'a PyTorch file',
    file,
    `a damaged one: ${what}`,
    'It may be cut short: copy it again.',
    cause,
  );
}

async function readDirectory(handle: FileHandle, size: number, file: string): Promise<Map<string, ZipEntry>> {
  const { from, length } = await findDirectory(handle, size);
  if (length > longestDirectory || from + length > size) throw new RangeError('its directory does not fit');
  const bytes = await readAt(handle, from, length);
  const view = viewOf(bytes);
  const short = (place: number) => view.getUint16(place, true);
  const long = (place: number) => view.getUint32(place, true);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0; at + 46 <= bytes.length && long(at) === central; ) {
    const method = short(at + 10);
    const [nameLength, extraLength, commentLength] = [short(at + 28), short(at + 30), short(at + 32)];
    const name = Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString('utf8');
    const extra = bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength);
    const widened = wide(extra);
    const [stored, packed, offset] = [widened(long(at + 24)), widened(long(at + 20)), widened(long(at + 42))];
    if (method !== 0) {
      throw expected(
        'a PyTorch file, whose parts are stored as they are,',
        file,
        `an archive in which ${name} is compressed`,
        'Save it again with torch.save.',
      );
    }
    if (stored !== packed) throw new RangeError(`${name} has two sizes`);
    const header = viewOf(await readAt(handle, offset, 30));
    if (header.getUint32(0, true) !== local) throw new RangeError(`${name} is not where it should be`);
    const begin = offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    if (begin + stored > size) throw new RangeError(`${name} does not fit`);
    entries.set(name, { begin, size: stored });
    at += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}

async function findDirectory(handle: FileHandle, size: number): Promise<{ from: number; length: number }> {
  const tailAt = Math.max(0, size - 22 - 0xffff);
  const tail = await readAt(handle, tailAt, size - tailAt);
  const view = viewOf(tail);
  let at = tail.length - 22;
  while (at >= 0 && view.getUint32(at, true) !== end) at--;
  if (at < 0) throw new RangeError('its directory is missing');
  const [length, from] = [view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  if (at < 20 || view.getUint32(at - 20, true) !== locator64) return { from, length };
  const record = viewOf(await readAt(handle, Number(view.getBigUint64(at - 12, true)), 56));
  if (record.getUint32(0, true) !== end64) throw new RangeError('its directory is missing');
  return {
    from: Number(record.getBigUint64(48, true)),
    length: Number(record.getBigUint64(40, true)),
  };
}

/** Takes uncompressed size, compressed size and offset in turn; those that are full come from the 64-bit field. */
function wide(extra: Uint8Array): (value: number) => number {
  const view = viewOf(extra);
  const from = new Map<number, number>();
  for (let at = 0; at + 4 <= extra.length; at += 4 + view.getUint16(at + 2, true))
    from.set(view.getUint16(at, true), at + 4);
  let at = from.get(1);
  return (value) => {
    if (value !== full) return value;
    if (at === undefined) throw new RangeError('a 64-bit size is missing');
    at += 8;
    return Number(view.getBigUint64(at - 8, true));
  };
}

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

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = crcTable[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
