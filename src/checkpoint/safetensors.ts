/**
 * The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length (little-endian), a JSON
 * header padded with spaces to a multiple of 8, then the values of all tensors without gaps.
 *
 * The same tensors and metadata always give the same bytes: wider elements first (so that every tensor is
 * aligned), then by name; metadata keys sorted.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { fitsHalf, fromBfloat, fromHalf, toHalf } from '../base/half.js';
import { must } from '../base/lookup.js';
import { asThing, openRegular } from '../base/regular-file.js';
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
  /** Of a tensor [N, …] the rows from `first` on, `rows` of them or as many as there are. */
  readRows(name: string, first: number, rows: number): Promise<StoredTensor>;
  /** SHA-256 of a tensor's bytes, hexadecimal. */
  digest(name: string): Promise<string>;
  close(): Promise<void>;
}

/** Length in bytes and SHA-256, hexadecimal, of a file. */
export interface FileSum {
  readonly bytes: number;
  readonly sha256: string;
}

/** A tensor without its values, and their SHA-256. */
export type Described = Pick<StoredTensor, 'dtype' | 'shape'> & { readonly sha256: string };

export const pieceBytes = 1 << 24;

/** @throws UserError when the file is missing, cut short or no safetensors file */
export async function openSafetensors(file: string): Promise<SafetensorsFile> {
  const handle = await openRegular(file, (received, cause) =>
    expected('a safetensors file', file, asThing(received), '', cause),
  );
  try {
    const { size } = await handle.stat();
    const read = (from: number, length: number) => readBytes(handle, from, length);
    const { entries, metadata } = await readHeader({ read, size }, file);
    const entryOf = (name: string): Entry => {
      if (Object.hasOwn(entries, name)) return must(entries[name], name);
      throw expected(`the tensor ${name}`, file, `a file with ${Object.keys(entries).length} others`);
    };
    return {
      entries,
      metadata,
      read: async (name) => {
        const entry = entryOf(name);
        return decode(entry, await readBytes(handle, entry.begin, entry.end - entry.begin));
      },
      readRows: async (name, first, rows) => {
        const { begin, end, dtype, shape } = entryOf(name);
        const [count = 0, ...row] = shape;
        const taken = Math.max(0, Math.min(rows, count - first));
        const width = count === 0 ? 0 : (end - begin) / count;
        const bytes = await readBytes(handle, begin + first * width, taken * width);
        return decode({ dtype, shape: [taken, ...row] }, bytes);
      },
      digest: async (name) => {
        const { begin, end } = entryOf(name);
        const hash = createHash('sha256');
        for (let at = begin; at < end; at += pieceBytes)
          hash.update(await readBytes(handle, at, Math.min(pieceBytes, end - at)));
        return hash.digest('hex');
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
): Promise<FileSum> {
  const stored = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, toStored(t)]));
  return writeParts(file, stored, metadata, (sink, name) => sink.write(must(stored[name], name).data));
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
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(piece);
  return hash.digest('hex');
}

export function toStored(t: HostTensor | StoredTensor): StoredTensor {
  if (t.dtype === 'float32') return { dtype: 'F32', shape: t.shape, data: t.data };
  if (t.dtype === 'int32') return { dtype: 'I32', shape: t.shape, data: t.data };
  return t as StoredTensor;
}

/** The one place that lays a file out. `part` appends the values of one tensor. */
export async function writeParts(
  file: string,
  tensors: Record<string, Pick<StoredTensor, 'dtype' | 'shape'>>,
  metadata: Metadata,
  part: (sink: Sink, name: string) => Promise<void>,
): Promise<FileSum> {
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

  let sum: FileSum | undefined;
  await writeFileAtomic(file, async (handle) => {
    const sink = sinkInto(handle);
    await sink.write(head);
    for (const [name] of sorted) await part(sink, name);
    sum = sink.sum();
  });
  return must(sum, 'sum');
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const besides = (file: string, kind: string): string =>
  path.join(path.dirname(file), `.${path.basename(file)}.${kind}`);

/** Appends to a file, and hashes while the disk is busy. */
export interface Sink {
  write(array: StoredData): Promise<void>;
  /** Of all that was written. */
  sum(): FileSum;
}

export function sinkInto(handle: FileHandle): Sink {
  const hash = createHash('sha256');
  let bytes = 0;
  return {
    async write(array) {
      const all = bytesOf(array);
      for (let at = 0; at < all.length; at += pieceBytes) {
        const piece = all.subarray(at, at + pieceBytes);
        const writing = writeAll(handle, piece);
        hash.update(piece);
        await writing;
        bytes += piece.length;
      }
    },
    sum: () => ({ bytes, sha256: hash.copy().digest('hex') }),
  };
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}

export const bytesOf = ({ buffer, byteOffset, byteLength }: StoredData): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export async function readBytes(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(pieceBytes, length - at), from + at);
    if (bytesRead === 0) throw new Error('internal: a safetensors file became shorter while it was read');
    at += bytesRead;
  }
  return bytes;
}

function decode({ dtype, shape }: Pick<Entry, 'dtype' | 'shape'>, bytes: Uint8Array): StoredTensor {
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
