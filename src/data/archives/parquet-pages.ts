/**
 * What a parquet file says of itself, looked at before hyparquet believes it: sizes, counts and runs beyond what is
 * there would take all memory, or forever.
 */

type Fields = Record<number, unknown>;

const [isTrue, isFalse, byte, i64, double, binary, list, struct] = [1, 2, 3, 6, 7, 8, 9, 12];

/** Of structs in structs: those of parquet are half as deep. */
const deepest = 16;

const damaged = (): Error => new Error('its list of parts is damaged');

/** A number of up to so many bytes, seven bits in each. */
function varint(bytes: Uint8Array, from: number, most: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < most; i++) {
    const next = bytes[from + i];
    if (next === undefined) break;
    value += (next & 0x7f) * 2 ** (7 * i);
    if (next < 0x80) return { value, end: from + i + 1 };
  }
  throw damaged();
}

function short(bytes: Uint8Array, from: number): { value: number; end: number } {
  const result = varint(bytes, from, 5);
  if (result.value > 0xffffffff) throw damaged();
  return result;
}

/**
 * A struct in Thrift's compact form. Numbers of 64 bits, texts and lists are passed over.
 *
 * @throws Error where it does not end, or has numbers longer than they may be
 */
export function structAt(bytes: Uint8Array, from: number, depth = 0): { fields: Fields; end: number } {
  if (depth > deepest) throw damaged();
  const fields: Fields = {};
  let id = 0;
  for (let at = from; ; ) {
    const head = bytes[at++];
    if (head === undefined) throw damaged();
    const type = head & 15;
    if (type === 0) return { fields, end: at };
    if (head >> 4) id += head >> 4;
    else {
      const { value, end } = short(bytes, at);
      id = unzigzag(value);
      at = end;
    }
    const { value, end } = elementAt(bytes, at, { type, depth });
    fields[id] = value;
    at = end;
  }
}

const unzigzag = (value: number): number => (value >>> 1) ^ -(value & 1);

function elementAt(
  bytes: Uint8Array,
  at: number,
  { type, depth }: { type: number; depth: number },
): { value?: unknown; end: number } {
  if (type === isTrue || type === isFalse) return { value: type === isTrue, end: at };
  if (type === byte) return { end: at + 1 };
  if (type === double) return { end: at + 8 };
  if (type === i64) return { end: varint(bytes, at, 10).end };
  if (type < i64) {
    const { value, end } = short(bytes, at);
    return { value: unzigzag(value), end };
  }
  if (type === binary) {
    const { value: length, end } = short(bytes, at);
    if (end + length > bytes.length) throw damaged();
    return { end: end + length };
  }
  if (type === list) return { end: listEnd(bytes, at, depth) };
  if (type !== struct) throw damaged();
  const { fields, end } = structAt(bytes, at, depth + 1);
  return { value: fields, end };
}

function listEnd(bytes: Uint8Array, from: number, depth: number): number {
  const head = bytes[from] ?? 0;
  const type = head & 15;
  let [count, at] = [head >> 4, from + 1];
  if (count === 15) ({ value: count, end: at } = short(bytes, at));
  if (count > bytes.length - at) throw damaged();
  for (let i = 0; i < count; i++)
    at = type === isTrue || type === isFalse ? at + 1 : elementAt(bytes, at, { type, depth: depth + 1 }).end;
  return at;
}

const [dataPage, dictionaryPage, dataPage2] = [0, 2, 3];
const [plainDictionary, delta, dictionaryEncoding] = [2, 5, 8];

/** Of which nothing tells beforehand what they take. */
const unread: Record<number, string> = { 3: 'RLE', 7: 'DELTA_BYTE_ARRAY' };

/** Of numbers as differences, bytes. */
const mostDelta = 2 ** 18;

export interface Column {
  /** Values of the row group, one a row. */
  readonly rows: number;
  /** How often on the way to it something may be missing. */
  readonly optional: number;
  /** Bytes that its pages may have together. */
  readonly most: number;
  /** Nothing for what is stored as it is. */
  unpack?(data: Uint8Array, length: number): Uint8Array;
}

/**
 * The pages of a column in a row group, unpacked, by where their packed values begin in `bytes`; none of what is stored
 * as it is.
 *
 * @throws Error in words about a page that is cut off, or larger or longer than the row group
 */
export function pagesOf(bytes: Uint8Array, column: Column): Map<number, Uint8Array> {
  const { rows, optional, most, unpack } = column;
  const pages = new Map<number, Uint8Array>();
  let [unpacked, values] = [0, 0];
  for (let at = 0; at < bytes.length - 1; ) {
    const { fields, end: from } = structAt(bytes, at);
    const [type, size, packed] = [whole(fields[1]), whole(fields[2]), whole(fields[3])];
    at = from + packed;
    unpacked += size;
    if (at > bytes.length || (!unpack && packed !== size)) throw new Error('it ends within a page');
    if (unpacked > most) throw new Error(`pages of more than ${most / 2 ** 20} MB`);
    const content = (begin: number, length: number): Uint8Array => {
      if (!unpack) return bytes.subarray(begin, at);
      const page = unpack(bytes.subarray(begin, at), length);
      pages.set(begin, page);
      return page;
    };
    if (type === dictionaryPage) {
      if (whole(part(fields, 7)[1]) > size) throw tooMany();
      content(from, size);
      continue;
    }
    if (type !== dataPage && type !== dataPage2) throw new Error(`a page of kind ${type}`);
    const about = part(fields, type === dataPage ? 5 : 8);
    const count = whole(about[1]);
    const encoding = whole(type === dataPage ? about[2] : about[4]);
    values += count;
    if (values > rows) throw tooMany();
    if (encoding in unread) throw new Error(`values coded as ${unread[encoding]}, which are not read`);
    if (encoding === delta && size > mostDelta) throw new Error('a page of differences that is too large');
    const width = 32 - Math.clz32(optional);
    let begin = 0;
    let page: Uint8Array;
    if (type === dataPage) {
      page = content(from, size);
      if (optional > 0) {
        begin = 4 + new DataView(page.buffer, page.byteOffset, page.length).getUint32(0, true);
        checkRuns(page.subarray(4), width, count);
      }
    } else {
      if (whole(about[2]) > count) throw tooMany();
      const levels = whole(about[5]) + whole(about[6]);
      if (levels > size || levels > packed) throw new Error('it ends within a page');
      if (optional > 0) checkRuns(bytes.subarray(from + whole(about[6]), at), width, count);
      page = about[7] === false ? bytes.subarray(from + levels, at) : content(from + levels, size - levels);
    }
    if (encoding === plainDictionary || encoding === dictionaryEncoding)
      checkRuns(page.subarray(begin + 1), page[begin] ?? 0, count);
  }
  return pages;
}

const tooMany = (): Error => new Error('more values than rows');

function whole(value: unknown): number {
  if (typeof value !== 'number' || value < 0) throw damaged();
  return value;
}

function part(fields: Fields, id: number): Fields {
  const value = fields[id];
  if (typeof value !== 'object' || value === null) throw damaged();
  return value as Fields;
}

/** Of small numbers, each written `count` times or packed by eights. @param width bits. @throws Error for longer runs */
function checkRuns(bytes: Uint8Array, width: number, count: number): void {
  if (width > 32) throw damaged();
  let seen = 0;
  for (let at = 0; at < bytes.length && seen < count; ) {
    const { value, end } = short(bytes, at);
    const length = value % 2 === 1 ? 8 * Math.floor(value / 2) : value / 2;
    if (Math.floor(length) > count + 512) throw new Error('a run of more values than its page');
    seen += Math.floor(length);
    at = end + (value % 2 === 1 ? (length / 8) * width : Math.ceil(width / 8));
  }
}
