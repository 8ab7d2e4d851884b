/** A file that is read in places, opened anew for each of them: a data set may have more archives than may be open. */
import { readSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { readAt } from '../../base/pieces.js';
import { opened } from '../../base/regular-file.js';

export interface Reader {
  readonly descriptor: number;
  /** @throws RangeError where the file ends before */
  read(from: number, length: number): Promise<Buffer>;
  /** Waits, which for many small parts takes a tenth of the time. @throws RangeError where the file ends before */
  readNow(from: number, length: number): Buffer;
}

export interface ArchiveFile {
  readonly place: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Text that changes whenever the file does. */
  readonly stamp: string;
  /** Opens the file for as long as `work` takes. @throws Error where it is no longer the file that it was */
  reading<T>(work: (reader: Reader) => Promise<T>): Promise<T>;
}

/** @throws whatever the system says */
export async function archiveFile(place: string): Promise<ArchiveFile> {
  const { size, mtimeMs, ctimeMs } = await fs.stat(place);
  const name = path.basename(place);
  return {
    ...{ place, name, size },
    stamp: `${name}\0${size}\0${ctimeMs}`,
    async reading(work) {
      const handle = await opened(place, Number.POSITIVE_INFINITY);
      try {
        const now = await handle.stat();
        if (now.size !== size || now.mtimeMs !== mtimeMs)
          throw new Error(`${name} is no longer the file that it was`);
        return await work({
          descriptor: handle.fd,
          read: async (from, length) => {
            if (from < 0) throw new RangeError('it is too short');
            return Buffer.from((await readAt(handle, from, length)).buffer);
          },
          readNow: (from, length) => readNow(handle.fd, from, length),
        });
      } finally {
        await handle.close();
      }
    },
  };
}

function readNow(descriptor: number, from: number, length: number): Buffer {
  if (from < 0) throw new RangeError('it is too short');
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const read = readSync(descriptor, bytes, at, length - at, from + at);
    if (read === 0) throw new RangeError('it ends too early');
    at += read;
  }
  return bytes;
}
