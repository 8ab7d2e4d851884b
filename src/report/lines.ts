/** Lines of a file that another process writes, each read once. */
import type { FileHandle } from 'node:fs/promises';
import { opened } from '../base/regular-file.js';

/** Up to where a file has been read. */
export interface Place {
  readonly offset: number;
  /** The bytes before it, by which another file of the same name is told apart. */
  readonly mark: Buffer;
}

export const atStart: Place = { offset: 0, mark: Buffer.alloc(0) };

const piece = 2 ** 18;
/** Bytes of a line. What is longer is none of ours, and is passed over. */
const longest = 2 ** 24;
const markLength = 128;
const newline = 10;

/**
 * Reads on, up to the last whole line. Where the file is no longer the one that was read, as after a resume, which cuts
 * `metrics.jsonl`, it begins anew.
 *
 * @param take.anew called before the lines where it does
 * @returns up to where it is read now; unlike `from` only where there was something to take
 */
export async function readLines(
  file: string,
  from: Place,
  take: { line(text: string): void; anew(): void },
): Promise<Place> {
  const handle = await opened(file, Number.POSITIVE_INFINITY).catch(() => undefined);
  if (!handle) return from.offset === 0 ? from : begun(take);
  try {
    const { size } = await handle.stat();
    if (size === from.offset && (await isSame(handle, from))) return from;
    let place = size >= from.offset && (await isSame(handle, from)) ? from : begun(take);
    let rest: Buffer = Buffer.alloc(0);
    for (let at = place.offset; at < size; ) {
      const bytes = await bytesAt(handle, at, Math.min(piece, size - at));
      if (bytes.length === 0) break;
      at += bytes.length;
      const end = bytes.lastIndexOf(newline) + 1;
      if (end > 0) {
        const whole = Buffer.concat([rest, bytes.subarray(0, end)]);
        for (const line of whole.toString('utf8').split('\n')) if (line) take.line(line);
        rest = Buffer.from(bytes.subarray(end));
        const mark = Buffer.concat([place.mark, whole.subarray(-markLength)]).subarray(-markLength);
        place = { offset: at - rest.length, mark: Buffer.from(mark) };
      } else rest = Buffer.concat([rest, bytes]);
      if (rest.length > longest) {
        place = { offset: at, mark: Buffer.from(rest.subarray(-markLength)) };
        rest = Buffer.alloc(0);
      }
    }
    return place;
  } finally {
    await handle.close();
  }
}

function begun(take: { anew(): void }): Place {
  take.anew();
  return atStart;
}

const isSame = async (handle: FileHandle, { offset, mark }: Place): Promise<boolean> =>
  (await bytesAt(handle, offset - mark.length, mark.length)).equals(mark);

async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  const bytes = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}
