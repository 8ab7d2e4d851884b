/** Parts of open files. */
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { RandomAccessReader } from 'yauzl';

/** @throws RangeError where the file ends before */
export async function readAt(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(1 << 24, length - at), from + at);
    if (bytesRead === 0) throw new RangeError('it ends too early');
    at += bytesRead;
  }
  return bytes;
}

/** A file for yauzl in pieces, of which the last one is kept: entries and their headers are small and lie together. */
export class Pieces extends RandomAccessReader {
  private readonly piece = Buffer.alloc(1 << 16);
  private held = { from: 0, to: 0 };

  constructor(
    private readonly descriptor: number,
    private readonly size: number,
  ) {
    super();
  }

  override _readStreamForRange(): never {
    throw new Error('internal: nothing is streamed from a zip archive');
  }

  override read(
    to: Buffer,
    offset: number,
    length: number,
    from: number,
    done: (error: Error | null, read?: number) => void,
  ): void {
    if (from + length > this.size) done(new Error('it ends too early'));
    else if (length > this.piece.length) done(null, fs.readSync(this.descriptor, to, offset, length, from));
    else {
      const { held } = this;
      if (from < held.from || from + length > held.to)
        this.held = { from, to: from + fs.readSync(this.descriptor, this.piece, 0, this.piece.length, from) };
      const begin = from - this.held.from;
      done(null, this.piece.copy(to, offset, begin, begin + length));
    }
  }
}
