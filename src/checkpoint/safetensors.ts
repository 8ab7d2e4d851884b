/**
 * The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length (little-endian), a JSON
 * header padded with spaces to a multiple of 8, then the values of all tensors without gaps.
 *
 * The same tensors and metadata always give the same bytes: wider elements first (so that every tensor is
 * aligned), then by name; metadata keys sorted.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { expected, naming } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { fitsHalf, fromBfloat, fromHalf, toHalf } from '../base/half.js';
import { must } from '../base/lookup.js';
import { asThing, openRegular } from '../base/regular.js';
import { type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import { type Entry, longestHeader, readHeader, type StoredType, widths } from './safetensors-header.js';

export type { Entry, StoredType };
export type StoredData =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint16Array
  | Uint8Array
  | BigInt64Array;

/**
 * A tensor as a file holds it, row-major. F16 and BF16 are widened to F32 when read; written as F16 are the bits, as a
 * Uint16Array.
 */
export interface StoredTensor {
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly data: StoredData;
}
export type StoredTensors = Record<string, StoredTensor>;
export type Metadata = Record<string, string>;

/** An open file; only what is asked for is read. */
export interface SafetensorsFile {
  readonly entries: Readonly<Record<string, Entry>>;
  readonly metadata: Metadata;
  /** @throws UserError when there is no such tensor */
  read(name: string): Promise<StoredTensor>;
  close(): Promise<void>;
}

const pieceBytes = 1 << 24;

/** @throws UserError when the file is missing, cut short or no safetensors file */
export async function openSafetensors(file: string): Promise<SafetensorsFile> {
  const handle = await openRegular(file, (received, cause) =>
    expected('a safetensors file', file, asThing(received), '', cause),
  );
  try {
    const { size } = await handle.stat();
    const read = (from: number, length: number) => readBytes(handle, from, length);
    const { entries, metadata } = await readHeader({ read, size }, file);
    return {
      entries,
      metadata,
      read: async (name) => {
        const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
        if (!entry) {
          throw expected(`the tensor ${name}`, file, `a file with ${Object.keys(entries).length} others`);
        }
        const bytes = await readBytes(handle, entry.begin, entry.end - entry.begin);
        return decode(entry, bytes);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Reads a whole file. @throws UserError as `openSafetensors` */
export async function readSafetensors(file: string): Promise<{ tensors: StoredTensors; metadata: Metadata }> {
  const opened = await openSafetensors(file);
  try {
    const tensors: StoredTensors = {};
    for (const name of Object.keys(opened.entries)) tensors[name] = await opened.read(name);
    return { tensors, metadata: opened.metadata };
  } finally {
    await opened.close();
  }
}

/** Writes a file, atomically. Host tensors and stored ones may be mixed. */
export async function writeSafetensors(
  file: string,
  tensors: Record<string, HostTensor | StoredTensor>,
  metadata: Metadata = {},
): Promise<void> {
  const stored = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, toStored(t)]));
  await writeParts(file, stored, metadata, async (handle, name) =>
    writeArray(handle, must(stored[name], name).data),
  );
}

/** Writes tensors `[N, ...row]` of unknown N row by row, so that memory does not grow with N. */
export interface RowsWriter {
  /** Appends one or more whole rows to each tensor. */
  append(rows: Record<string, StoredData>): Promise<void>;
  /** Writes the file, atomically: the rows under their names and the other tensors beside them. */
  finish(others?: Record<string, HostTensor | StoredTensor>, metadata?: Metadata): Promise<void>;
  /** Gives up: nothing stays. */
  abort(): Promise<void>;
}

/** The rows wait in files of their own beside `file`, whose names start with a dot, until N is known. */
export async function openRowsWriter(
  file: string,
  tensors: Record<string, { dtype: StoredType; row: readonly number[] }>,
): Promise<RowsWriter> {
  await fs.mkdir(path.dirname(file), { recursive: true });
  const waiting = new Map<string, WaitingRows>();
  for (const [i, [name, rows]] of Object.entries(tensors).entries())
    waiting.set(name, await waitingRows(besides(file, `rows-${i}`), rows));
  const abort = async (): Promise<void> => {
    for (const rows of waiting.values()) await rows.remove();
  };
  return {
    abort,
    append: async (rows) => {
      try {
        for (const [name, data] of Object.entries(rows)) await must(waiting.get(name), name).append(data);
      } catch (error) {
        throw naming(error, file);
      }
    },
    finish: async (others = {}, metadata = {}) => {
      try {
        const small = Object.fromEntries(Object.entries(others).map(([name, t]) => [name, toStored(t)]));
        const large = Object.fromEntries([...waiting].map(([name, rows]) => [name, rows.written()]));
        await writeParts(file, { ...small, ...large }, metadata, async (handle, name) => {
          const rows = waiting.get(name);
          await (rows ? rows.copyTo(handle) : writeArray(handle, must(small[name], name).data));
        });
      } finally {
        await abort();
      }
    },
  };
}

interface WaitingRows {
  append(rows: StoredData): Promise<void>;
  /** Of all that was appended. */
  written(): Pick<StoredTensor, 'dtype' | 'shape'>;
  copyTo(handle: FileHandle): Promise<void>;
  remove(): Promise<void>;
}

async function waitingRows(
  file: string,
  { dtype, row }: { dtype: StoredType; row: readonly number[] },
): Promise<WaitingRows> {
  const handle = await fs.open(file, 'wx+'); // never through a link
  const rowSize = sizeOf(row);
  let values = 0;
  return {
    append: async (rows) => {
      if (rows.length % rowSize !== 0 || rows.BYTES_PER_ELEMENT !== widths[dtype]) {
        throw new Error(`internal: ${rows.length} values are no whole ${dtype} rows [${row}]`);
      }
      await writeArray(handle, rows);
      values += rows.length;
    },
    written: () => ({ dtype, shape: [values / rowSize, ...row] }),
    copyTo: async (to) => {
      const bytes = values * widths[dtype];
      for (let at = 0; at < bytes; at += pieceBytes)
        await writeArray(to, await readBytes(handle, at, Math.min(pieceBytes, bytes - at)));
    },
    remove: async () => {
      await handle.close();
      await fs.rm(file, { force: true });
    },
  };
}

/** float32 and int32 as the rest of vqgen knows them: F64 is rounded, other integers become int32. */
export function toHost(t: StoredTensor): HostTensor {
  if (t.data instanceof Float32Array) return { dtype: 'float32', shape: t.shape, data: t.data };
  if (t.data instanceof Float64Array)
    return { dtype: 'float32', shape: t.shape, data: Float32Array.from(t.data) };
  if (t.data instanceof Int32Array) return { dtype: 'int32', shape: t.shape, data: t.data };
  const data = new Int32Array(t.data.length);
  for (let i = 0; i < data.length; i++) data[i] = Number(t.data[i]);
  return { dtype: 'int32', shape: t.shape, data };
}

export function toHosts(tensors: StoredTensors): HostTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, toHost(t)]));
}

/** SHA-256 of a file's bytes, hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece);
  return hash.digest('hex');
}

function toStored(t: HostTensor | StoredTensor): StoredTensor {
  if (t.dtype === 'float32') return { dtype: 'F32', shape: t.shape, data: t.data };
  if (t.dtype === 'int32') return { dtype: 'I32', shape: t.shape, data: t.data };
  return t as StoredTensor;
}

/** The one place that lays a file out. `part` appends the values of one tensor. */
async function writeParts(
  file: string,
  tensors: Record<string, Pick<StoredTensor, 'dtype' | 'shape'>>,
  metadata: Metadata,
  part: (handle: FileHandle, name: string) => Promise<void>,
): Promise<void> {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) {
    header.__metadata__ = Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => order(a, b)));
  }
  const sorted = Object.entries(tensors).sort(
    ([a, s], [b, t]) => widths[t.dtype] - widths[s.dtype] || order(a, b),
  );
  let offset = 0;
  for (const [name, { dtype, shape }] of sorted) {
    const end = offset + sizeOf(shape) * widths[dtype];
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > longestHeader)
    throw new Error(`The header of ${file} would be longer than the format allows.`);
  const head = Buffer.alloc(8 + padded, ' ');
  head.writeBigUInt64LE(BigInt(padded));
  json.copy(head, 8);

  await writeFileAtomic(file, async (handle) => {
    await writeArray(handle, head);
    for (const [name] of sorted) await part(handle, name);
  });
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const besides = (file: string, kind: string): string =>
  path.join(path.dirname(file), `.${path.basename(file)}.${kind}`);

async function writeArray(handle: FileHandle, array: StoredData): Promise<void> {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, Math.min(pieceBytes, bytes.length - at))).bytesWritten;
  }
}

async function readBytes(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(pieceBytes, length - at), from + at);
    if (bytesRead === 0) throw new Error('internal: a safetensors file became shorter while it was read');
    at += bytesRead;
  }
  return bytes;
}

function decode({ dtype, shape }: Entry, bytes: Uint8Array): StoredTensor {
  const { buffer } = bytes;
  switch (dtype) {
    case 'F64':
      return { dtype, shape, data: new Float64Array(buffer) };
    case 'I32':
      return { dtype, shape, data: new Int32Array(buffer) };
    case 'U32':
      return { dtype, shape, data: new Uint32Array(buffer) };
    case 'U16':
      return { dtype, shape, data: new Uint16Array(buffer) };
    case 'U8':
      return { dtype, shape, data: bytes };
    case 'I64':
      return { dtype, shape, data: new BigInt64Array(buffer) };
    case 'F16':
      return { dtype: 'F32', shape, data: fromHalf(new Uint16Array(buffer)) };
    case 'BF16':
      return { dtype: 'F32', shape, data: fromBfloat(new Uint16Array(buffer)) };
    default:
      return { dtype: 'F32', shape, data: new Float32Array(buffer) };
  }
}

/**
 * The tensor in half precision, to be written: to the nearest, ties to even. One with a number that is too large stays
 * as it is.
 */
export function inHalves(t: HostTensor): StoredTensor {
  const data = t.data as Float32Array;
  return fitsHalf(data) ? { dtype: 'F16', shape: t.shape, data: toHalf(data) } : toStored(t);
}
