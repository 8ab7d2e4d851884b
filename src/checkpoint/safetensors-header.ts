/** What a safetensors file says of its tensors: type, shape and place of each, every byte of the file in one of them. */
import { expected, type UserError } from '../base/errors.js';
import { isRecord, parseJson } from '../base/json.js';
import { sizeOf } from '../base/tensor.js';
import { checkStandIn, standInBytes } from './stand-in.js';

export type StoredType = 'F64' | 'F32' | 'F16' | 'I32' | 'U32' | 'U16' | 'U8' | 'I64';

/** Bytes of an element. */
export const widths: Record<StoredType | 'BF16', number> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  U16: 2,
  U8: 1,
};

/** Where a tensor lies: `begin` and `end` are bytes from the start of the file. */
export interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** Bytes. Names of a million pictures, which token files hold, take half of it. */
export const longestHeader = 1 << 26;

/** Of descriptions of tensors, of which one takes some 15. */
const mostParts = 500_000;
const mostAxes = 32;

/** @throws UserError for a file that is cut short, damaged or of another format */
export async function readHeader(
  { read, size }: { read: (from: number, length: number) => Promise<Uint8Array>; size: number },
  file: string,
): Promise<{ entries: Record<string, Entry>; metadata: Record<string, string> }> {
  const bad = (received: string, cause?: unknown): UserError =>
    expected('a safetensors file', file, received, 'It may be cut short or of another format.', cause);
  checkStandIn(await read(0, Math.min(standInBytes, size)), 'a safetensors file', file);
  if (size < 8) throw bad(`${size} bytes`);
  const length = Number(Buffer.from(await read(0, 8)).readBigUInt64LE());
  if (length > Math.min(size - 8, longestHeader)) {
    throw bad(`a file of ${size} bytes that announces a header of ${length}`);
  }
  const header = parseHeader(await read(8, length), bad);
  if (!isRecord(header)) throw bad('a header that is no JSON object');
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((v) => typeof v !== 'string')) {
    throw bad('metadata that are not text');
  }
  const described = Object.entries(tensors)
    .map(([name, entry]) => {
      const { begin, end, ...kind } = describedBy(entry, name, { bad, file });
      return [name, { ...kind, begin: 8 + length + begin, end: 8 + length + end }] as const;
    })
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkWhole(described, { from: 8 + length, to: size }, bad);
  return { entries: Object.fromEntries(described), metadata: metadata as Record<string, string> };
}

type Bad = (received: string, cause?: unknown) => UserError;

function parseHeader(bytes: Uint8Array, bad: Bad): unknown {
  try {
    return parseJson(bytes, { parts: mostParts });
  } catch (cause) {
    throw bad(
      cause instanceof RangeError ? `a header with ${cause.message}` : 'a header that is not JSON',
      cause,
    );
  }
}

/** @returns its place from the first tensor's on */
function describedBy(entry: unknown, name: string, { bad, file }: { bad: Bad; file: string }): Entry {
  if (!isRecord(entry) || name === '__proto__') throw bad(`no description of the tensor ${name}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const placed = areWhole(shape) && shape.length <= mostAxes && areWhole(offsets) && offsets.length === 2;
  if (typeof dtype !== 'string' || !placed) throw bad(`a tensor ${name} without type, shape and offsets`);
  const width = Object.hasOwn(widths, dtype) && widths[dtype as keyof typeof widths];
  if (!width) throw expected(`${Object.keys(widths).join(', ')}`, `the type of ${name} in ${file}`, dtype);
  const [begin = 0, end = 0] = offsets;
  if (end - begin !== sizeOf(shape) * width) {
    throw bad(`${end - begin} bytes for the tensor ${name}, ${dtype} [${shape}]`);
  }
  return { dtype, shape, begin, end };
}

/** @param entries that follow one another from the header's end to the file's */
function checkWhole(
  entries: readonly (readonly [string, Entry])[],
  { from, to }: { from: number; to: number },
  bad: Bad,
): void {
  let at = from;
  for (const [name, { begin, end }] of entries) {
    if (begin !== at) throw bad(`a ${begin < at ? 'tensor that overlaps another' : 'gap'} at ${name}`);
    at = end;
  }
  if (at !== to) throw bad(`${to} bytes where the header describes ${at}`);
}

const areWhole = (v: unknown): v is number[] =>
  Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && n >= 0);
