/** Safetensors files of rows that come one after another, such as codes, whose number is known at the end only. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { naming } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { type HostTensor, sizeOf } from '../base/tensor.js';
import {
  besides,
  type Described,
  type FileSum,
  type Metadata,
  pieceBytes,
  readBytes,
  type Sink,
  type StoredData,
  type StoredTensor,
  sinkInto,
  toStored,
  writeParts,
} from './safetensors.js';
import { type StoredType, widths } from './safetensors-header.js';

/** Writes tensors `[N, ...row]` of unknown N row by row, so that memory does not grow with N. */
export interface RowsWriter {
  /** Appends one or more whole rows to each tensor. */
  append(rows: Record<string, StoredData>): Promise<void>;
  /** What was appended so far, of each tensor. */
  described(): Record<string, Described>;
  /** Writes the file, atomically: the rows under their names and the other tensors beside them. */
  finish(others?: Record<string, HostTensor | StoredTensor>, metadata?: Metadata): Promise<FileSum>;
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
    described: () => Object.fromEntries([...waiting].map(([name, rows]) => [name, rows.written()])),
    finish: async (others = {}, metadata = {}) => {
      try {
        const small = Object.fromEntries(Object.entries(others).map(([name, t]) => [name, toStored(t)]));
        const large = Object.fromEntries([...waiting].map(([name, rows]) => [name, rows.written()]));
        return await writeParts(file, { ...small, ...large }, metadata, (sink, name) => {
          const rows = waiting.get(name);
          return rows ? rows.copyTo(sink) : sink.write(must(small[name], name).data);
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
  written(): Described;
  copyTo(sink: Sink): Promise<void>;
  remove(): Promise<void>;
}

async function waitingRows(
  file: string,
  { dtype, row }: { dtype: StoredType; row: readonly number[] },
): Promise<WaitingRows> {
  const handle = await fs.open(file, 'wx+'); // never through a link
  const sink = sinkInto(handle);
  const rowSize = sizeOf(row);
  let values = 0;
  return {
    append: async (rows) => {
      if (rows.length % rowSize !== 0 || rows.BYTES_PER_ELEMENT !== widths[dtype]) {
        throw new Error(`internal: ${rows.length} values are no whole ${dtype} rows [${row}]`);
      }
      await sink.write(rows);
      values += rows.length;
    },
    written: () => ({ dtype, shape: [values / rowSize, ...row], sha256: sink.sum().sha256 }),
    copyTo: async (to) => {
      const bytes = values * widths[dtype];
      for (let at = 0; at < bytes; at += pieceBytes)
        await to.write(await readBytes(handle, at, Math.min(pieceBytes, bytes - at)));
    },
    remove: async () => {
      await handle.close();
      await fs.rm(file, { force: true });
    },
  };
}
