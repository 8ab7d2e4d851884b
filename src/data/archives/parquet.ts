/**
 * Parquet files as Hugging Face writes them: a column of pictures ({bytes, path}, or bare bytes) and one of labels.
 * Row groups are read as pictures of them are asked for, and the last two are kept.
 */
import zlib from 'node:zlib';
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type RowGroup,
  type SchemaTree,
  snappyUncompress,
} from 'hyparquet';
import { must } from '../../base/lookup.js';
import type { ArchiveFile } from './file.js';
import { checkCount, checkSize, type Listing, Unfit } from './listing.js';

const MB = 2 ** 20;

/** Of the list of all columns and row groups. */
const mostFooter = 64 * MB;

/** Of the pictures of a row group, unpacked. */
const mostGroup = 512 * MB;

/** @throws Error in words about what is no whole parquet file; Unfit for one without pictures, or too large parts */
export async function listParquet(file: ArchiveFile): Promise<Listing> {
  const buffer = bufferOf(file);
  const footer = await file.reading(async ({ readNow }) => readNow(file.size - 8, 8));
  if (footer.readUInt32LE(0) > mostFooter) throw new Error(`a list of more than ${mostFooter / MB} MB`);
  const metadata = await parquetMetadataAsync(buffer, { geoparquet: false });
  const { image, label } = columnsOf(metadata);
  const groups = metadata.row_groups;
  const rows = groups.map(({ num_rows }) => Number(num_rows));
  const count = rows.reduce((sum, n) => sum + n, 0);
  if (!rows.every((n) => n >= 0) || count !== Number(metadata.num_rows))
    throw new Error('it counts its rows otherwise');
  checkCount(count);
  const places = rows.flatMap((n, group) => Array.from({ length: n }, (_, row) => ({ group, row })));
  const bytes = groups.map((group, i) => {
    const size = checkGroup(group, image);
    if (label !== undefined) checkGroup(group, label.name);
    return Math.ceil(size / Math.max(1, must(rows[i], 'rows')));
  });
  const options = { file: buffer, metadata, compressors, utf8: false, geoparquet: false };
  const classNames = label && (await labelsOf(options, label));
  const digits = `${count - 1}`.length;
  const at = (index: number) => must(places[index], 'row');
  const groupOf = (group: number): Promise<readonly Record<string, unknown>[]> =>
    kept(`${file.place}\0${file.stamp}\0${group}`, () => {
      const rowStart = rowsBefore(rows, group);
      const rowEnd = rowStart + must(rows[group], 'rows');
      return parquetReadObjects({ ...options, columns: [image], rowStart, rowEnd });
    });
  return {
    names: places.map((_, i) => `${i}`.padStart(digits, '0')),
    ...(classNames && { classNames }),
    size: (i) => must(bytes[at(i).group], 'size'),
    async read(i) {
      const { group, row } = at(i);
      return pictureIn((await groupOf(group))[row]?.[image]);
    },
  };
}

const rowsBefore = (rows: readonly number[], group: number): number =>
  rows.slice(0, group).reduce((sum, n) => sum + n, 0);

function bufferOf(file: ArchiveFile): AsyncBuffer {
  return {
    byteLength: file.size,
    async slice(start, end = file.size) {
      const length = end - start;
      if (!(start >= 0 && length >= 0 && end <= file.size)) throw new Error('it ends too early');
      if (length > mostGroup) throw new Error(`a part of more than ${mostGroup / MB} MB`);
      const bytes = await file.reading(({ read }) => read(start, length));
      return bytes.buffer as ArrayBuffer;
    },
  };
}

interface Label {
  readonly name: string;
  /** Of the classes, by their numbers. */
  readonly names?: readonly string[];
}

interface Feature {
  readonly _type?: unknown;
  readonly names?: unknown;
}

/** By what Hugging Face notes of the columns, else by their names and types. */
function columnsOf(metadata: FileMetaData): { image: string; label?: Label } {
  const columns = parquetSchema(metadata).children;
  const features = featuresOf(metadata);
  const typed = (type: string) => columns.filter(({ element }) => features[element.name]?._type === type);
  const called = (...names: string[]) => columns.filter(({ element }) => names.includes(element.name));
  const [image] = [
    ...typed('Image'),
    ...columns.filter(isStruct),
    ...called('image', 'img', 'jpg', 'jpeg', 'png', 'webp', 'image_bytes', 'bytes').filter(isBytes),
  ];
  if (!image)
    throw new Unfit(
      `has no column of pictures (${columns.map(({ element }) => element.name).join(', ')})`,
      'It should be called image, and hold their bytes, or {bytes, path}.',
    );
  const [label] = [...typed('ClassLabel'), ...called('label', 'labels', 'class', 'cls', 'fine_label')].filter(
    ({ children, element }) => children.length === 0 && element !== image.element,
  );
  const { name } = image.element;
  if (!label) return { image: name };
  const names = features[label.element.name]?.names;
  const isList = Array.isArray(names) && names.every((text) => typeof text === 'string');
  return { image: name, label: { name: label.element.name, ...(isList && { names }) } };
}

const isStruct = ({ children }: SchemaTree): boolean =>
  children.some((child) => child.element.name === 'bytes' && isBytes(child));

const isBytes = ({ element, children }: SchemaTree): boolean =>
  element.type === 'BYTE_ARRAY' && children.length === 0 && element.converted_type !== 'UTF8';

function featuresOf({ key_value_metadata = [] }: FileMetaData): Record<string, Feature | undefined> {
  const text = key_value_metadata.find(({ key }) => key === 'huggingface')?.value;
  try {
    return JSON.parse(text ?? '{}').info?.features ?? {};
  } catch {
    return {};
  }
}

/** @returns bytes of a column, unpacked. @throws Unfit for more than is held at a time, or an unknown compression */
function checkGroup({ columns }: RowGroup, name: string): number {
  let bytes = 0;
  for (const { meta_data: meta } of columns) {
    if (meta?.path_in_schema[0] !== name) continue;
    bytes += Number(meta.total_uncompressed_size);
    if (meta.codec !== 'UNCOMPRESSED' && !compressors[meta.codec])
      throw new Unfit(`is compressed by ${meta.codec}`, unpacked);
  }
  if (bytes > mostGroup)
    throw new Unfit(
      `has a row group of ${Math.round(bytes / MB)} MB, more than ${mostGroup / MB}`,
      'Write it again in smaller ones (row_group_size=100).',
    );
  return bytes;
}

const unpacked = 'Write it again with compression="snappy"; zstd is read by Node.js 22.15 and later.';

type Unpack = (data: Uint8Array, o: { maxOutputLength: number }) => Buffer;

/** What a page says of its length is looked at before so much is held. */
function bounded(unpack: Unpack): NonNullable<Compressors['GZIP']> {
  return (data, length) => {
    if (!(length >= 0 && length <= mostGroup)) throw new Error(`a page of more than ${mostGroup / MB} MB`);
    return unpack(data, { maxOutputLength: Math.max(1, length) });
  };
}

const { zstdDecompressSync } = zlib as { zstdDecompressSync?: Unpack };

const compressors: Compressors = {
  SNAPPY: bounded((data, { maxOutputLength }) => {
    const result = Buffer.alloc(data.length > 1 ? maxOutputLength : 0);
    snappyUncompress(data, result);
    return result;
  }),
  GZIP: bounded(zlib.gunzipSync),
  BROTLI: bounded(zlib.brotliDecompressSync),
  ...(zstdDecompressSync && { ZSTD: bounded(zstdDecompressSync) }),
};

async function labelsOf(
  options: Omit<Parameters<typeof parquetReadObjects>[0], 'columns'>,
  { name, names }: Label,
): Promise<(string | undefined)[]> {
  const rows = await parquetReadObjects({ ...options, columns: [name] });
  return rows.map((row) => {
    const value: unknown = row[name];
    if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
    if (typeof value === 'string') return value;
    if (typeof value !== 'bigint' && !Number.isInteger(value)) return undefined;
    const index = Number(value);
    return index < 0 ? undefined : (names?.[index] ?? `${index}`);
  });
}

function pictureIn(value: unknown): Buffer {
  const bytes =
    value instanceof Uint8Array ? value : (value as { bytes?: unknown } | null | undefined)?.bytes;
  if (!(bytes instanceof Uint8Array)) throw new Error('no bytes of a picture in its row');
  checkSize(bytes.length);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

type Rows = readonly Record<string, unknown>[];

const recent = new Map<string, Promise<Rows>>();

/** The row groups read last, two of all files: pictures are decoded in their order, some ahead. */
function kept(key: string, read: () => Promise<Rows>): Promise<Rows> {
  const found = recent.get(key) ?? read();
  recent.delete(key);
  recent.set(key, found);
  found.catch(() => recent.delete(key));
  const [oldest] = recent.keys();
  if (recent.size > 2 && oldest !== undefined) recent.delete(oldest);
  return found;
}
