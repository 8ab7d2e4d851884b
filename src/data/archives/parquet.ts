/**
 * Parquet files as Hugging Face writes them: a column of pictures ({bytes, path}, or bare bytes) and one of labels.
 * Row groups are read as pictures of them are asked for, and the last two are kept for a while.
 */
import zlib from 'node:zlib';
import {
  type FileMetaData,
  parquetMetadata,
  parquetReadObjects,
  parquetSchema,
  type RowGroup,
  type SchemaElement,
  type SchemaTree,
  snappyUncompress,
} from 'hyparquet';
import { must } from '../../base/lookup.js';
import { mayPass } from '../passing.js';
import type { ArchiveFile } from './file.js';
import { checkCount, checkSize, type Listing, Unfit } from './listing.js';
import { pagesOf, structAt } from './parquet-pages.js';

const MB = 2 ** 20;

/** Of the list of all columns and row groups. */
const mostFooter = 16 * MB;

/** Of the pictures of a row group, unpacked. */
const mostGroup = 512 * MB;

/** @throws Error in words about what is no whole parquet file; Unfit for one without pictures, or too large parts */
export async function listParquet(file: ArchiveFile): Promise<Listing> {
  const metadata = await metadataOf(file);
  const { image, label } = inWords('its list of columns is damaged', () => columnsOf(metadata));
  const groups = metadata.row_groups;
  const rows = groups.map(({ num_rows }) => Number(num_rows));
  const count = rows.reduce((sum, n) => sum + n, 0);
  if (!rows.every((n) => n >= 0) || count !== Number(metadata.num_rows))
    throw new Error('it counts its rows otherwise');
  if (count > file.size) throw new Error(`it is too short for the ${count} pictures of its list`);
  checkCount(count);
  const starts = [0];
  for (const n of rows) starts.push(must(starts.at(-1), 'row') + n);
  const bytes = groups.map((group, i) => {
    if (label) checkGroup(group, label);
    return Math.ceil(checkGroup(group, image) / Math.max(1, must(rows[i], 'rows')));
  });
  const classNames = label && (await labelsOf(file, metadata, label));
  const digits = `${count - 1}`.length;
  const groupAt = (index: number): number => starts.findIndex((start) => start > index) - 1;
  return {
    names: Array.from({ length: count }, (_, i) => `${i}`.padStart(digits, '0')),
    ...(classNames && { classNames }),
    size: (i) => must(bytes[groupAt(i)], 'size'),
    async read(i) {
      const at = groupAt(i);
      const read = () => valuesOf(file, metadata, { column: image, group: at });
      return pictureIn(
        (await kept(`${file.place}\0${file.stamp}\0${at}`, read))[i - must(starts[at], 'row')],
      );
    },
  };
}

async function metadataOf(file: ArchiveFile): Promise<FileMetaData> {
  if (file.size < 12) throw new Error('it is too short');
  return file.reading(async ({ read }) => {
    const end = await read(file.size - 8, 8);
    if (end.toString('latin1', 4) !== 'PAR1') throw new Error('it does not end as one');
    const length = end.readUInt32LE(0);
    if (length > mostFooter) throw new Error(`a list of more than ${mostFooter / MB} MB`);
    if (length + 8 > file.size) throw new Error('it ends too early');
    const list = await read(file.size - 8 - length, length + 8);
    return inWords('its list of columns is damaged', () => {
      structAt(list.subarray(0, length), 0);
      return parquetMetadata(new Uint8Array(list), { geoparquet: false });
    });
  });
}

/** What the library finds out where it does not look is told in our words. */
function inWords<T>(words: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw cause instanceof Unfit ? cause : new Error(words, { cause });
  }
}

/**
 * The values of a column in a row group, one a row, `undefined` or `null` where there is none. Handed to hyparquet as a
 * file that has nothing else.
 */
async function valuesOf(
  file: ArchiveFile,
  metadata: FileMetaData,
  { column, group }: { column: Column; group: number },
): Promise<readonly unknown[]> {
  const { num_rows, ...row } = must(metadata.row_groups[group], 'row group');
  const meta = columnIn(row, column);
  if (!meta) throw new Error(`row group ${group + 1} has no column ${column.path.join('.')}`);
  const from = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const length = Number(meta.total_compressed_size);
  if (!(from >= 0 && length >= 0 && length <= mostGroup && from + length <= file.size))
    throw new Error(`row group ${group + 1} lies outside of the file`);
  const bytes = await file.reading(({ read }) => read(from, length));
  const { codec } = meta;
  try {
    const optional = column.elements.filter(({ repetition_type }) => repetition_type !== 'REQUIRED').length;
    const unpack = unpackers[codec];
    const rows = Number(num_rows);
    const pages = pagesOf(bytes, { rows, optional, most: mostGroup, ...(unpack && { unpack }) });
    const only = { ...meta, data_page_offset: 0n, dictionary_page_offset: undefined };
    const found = await parquetReadObjects({
      file: { byteLength: length, slice: () => bytes.buffer as ArrayBuffer },
      metadata: {
        ...metadata,
        schema: [{ name: 'root', num_children: 1 }, ...column.elements],
        num_rows,
        row_groups: [{ ...row, num_rows, columns: [{ file_offset: 0n, meta_data: only }] }],
      },
      compressors: { [codec]: (data: Uint8Array) => must(pages.get(data.byteOffset), 'page') },
      ...{ utf8: false, geoparquet: false },
    });
    return found.map((values) => values[must(column.path[0], 'column')]);
  } catch (error) {
    if (mayPass(error)) throw error;
    const why =
      error instanceof TypeError || error instanceof RangeError ? '' : `: ${(error as Error).message}`;
    throw new Error(`row group ${group + 1} is damaged${why}`, { cause: error });
  }
}

interface Column {
  /** Names, from the outermost on. */
  readonly path: readonly string[];
  readonly elements: readonly SchemaElement[];
}

interface Label extends Column {
  /** Of the classes, by their numbers. */
  readonly names?: readonly string[];
}

interface Feature {
  readonly _type?: unknown;
  readonly names?: unknown;
}

/** By what Hugging Face notes of the columns, else by their names and types. */
function columnsOf(metadata: FileMetaData): { image: Column; label?: Label } {
  const columns = parquetSchema(metadata).children;
  const features = featuresOf(metadata);
  const typed = (type: string) => columns.filter(({ element }) => features[element.name]?._type === type);
  const called = (...names: string[]) => columns.filter(({ element }) => names.includes(element.name));
  const holdsPictures = (column: SchemaTree): boolean => isStruct(column) || isBytes(column);
  const [image] = [
    ...typed('Image').filter(holdsPictures),
    ...columns.filter(isStruct),
    ...called('image', 'img', 'jpg', 'jpeg', 'png', 'webp', 'image_bytes', 'bytes').filter(isBytes),
  ];
  if (!image)
    throw new Unfit(
      `has no column of pictures (${columns.map(({ element }) => element.name).join(', ')})`,
      'It should be called image, and hold their bytes, or {bytes, path}.',
    );
  const leaf = isStruct(image) ? image.children.find(isBytesChild) : undefined;
  const elements = leaf ? [{ ...image.element, num_children: 1 }, leaf.element] : [image.element];
  const column = { path: elements.map(({ name }) => name), elements };
  const [label] = [...typed('ClassLabel'), ...called('label', 'labels', 'class', 'cls', 'fine_label')].filter(
    (found) => tellsClass(found) && found.element !== image.element,
  );
  if (!label) return { image: column };
  const { element } = label;
  const names = features[element.name]?.names;
  const isList = Array.isArray(names) && names.every((text) => typeof text === 'string');
  return { image: column, label: { path: [element.name], elements: [element], ...(isList && { names }) } };
}

const isSingle = ({ element }: SchemaTree): boolean => element.repetition_type !== 'REPEATED';

const tellsClass = (column: SchemaTree): boolean =>
  column.children.length === 0 && isSingle(column) && column.element.type !== 'BOOLEAN';

const isBytes = (column: SchemaTree): boolean => {
  const { element, children } = column;
  return (
    element.type === 'BYTE_ARRAY' &&
    children.length === 0 &&
    element.converted_type !== 'UTF8' &&
    isSingle(column)
  );
};

const isBytesChild = (column: SchemaTree): boolean => column.element.name === 'bytes' && isBytes(column);

const isStruct = (column: SchemaTree): boolean => isSingle(column) && column.children.some(isBytesChild);

function featuresOf({ key_value_metadata = [] }: FileMetaData): Record<string, Feature | undefined> {
  const text = key_value_metadata.find(({ key }) => key === 'huggingface')?.value;
  try {
    return JSON.parse(text ?? '{}').info?.features ?? {};
  } catch {
    return {};
  }
}

const columnIn = ({ columns }: Pick<RowGroup, 'columns'>, { path }: Column) =>
  columns.find(({ meta_data: meta }) => meta?.path_in_schema.join('\0') === path.join('\0'))?.meta_data;

/** @returns bytes of a column, unpacked. @throws Unfit for more than is held at a time, or an unknown compression */
function checkGroup(group: RowGroup, column: Column): number {
  const meta = columnIn(group, column);
  if (!meta) return 0;
  if (meta.codec !== 'UNCOMPRESSED' && !unpackers[meta.codec])
    throw new Unfit(`is compressed by ${meta.codec ?? 'a method that is not known'}`, unpacked);
  const bytes = Number(meta.total_uncompressed_size);
  if (bytes > mostGroup)
    throw new Unfit(
      `has a row group of ${Math.round(bytes / MB)} MB, more than ${mostGroup / MB}`,
      'Write it again in smaller ones (row_group_size=100).',
    );
  return bytes;
}

const unpacked = 'Write it again with compression="snappy"; zstd is read by Node.js 22.15 and later.';

type Unpack = (data: Uint8Array, o: { maxOutputLength: number }) => Buffer;

type Unpacker = (data: Uint8Array, length: number) => Uint8Array;

/** No more is made of a page than it says. */
function bounded(unpack: Unpack): Unpacker {
  return (data, length) => {
    const page = inWords('a page that cannot be unpacked', () =>
      unpack(data, { maxOutputLength: Math.max(1, length) }),
    );
    if (page.length !== length) throw new Error('a page of another length than it says');
    return page;
  };
}

const { zstdDecompressSync } = zlib as { zstdDecompressSync?: Unpack };

const unpackers: Partial<Record<string, Unpacker>> = {
  SNAPPY: (data, length) => {
    const page = Buffer.alloc(length);
    inWords('a page that cannot be unpacked', () => snappyUncompress(data, page));
    return page;
  },
  GZIP: bounded(zlib.gunzipSync),
  BROTLI: bounded(zlib.brotliDecompressSync),
  ...(zstdDecompressSync && { ZSTD: bounded(zstdDecompressSync) }),
};

async function labelsOf(
  file: ArchiveFile,
  metadata: FileMetaData,
  { names, ...column }: Label,
): Promise<(string | undefined)[]> {
  const labels: (string | undefined)[] = [];
  const known = new Map<string, string>(); // One text of each, however many pictures have it.
  for (const [group, { num_rows }] of metadata.row_groups.entries()) {
    const values = await valuesOf(file, metadata, { column, group });
    for (let row = 0; row < num_rows; row++) {
      const label = labelOf(values[row], names);
      if (label !== undefined && !known.has(label)) known.set(label, label);
      labels.push(label && known.get(label));
    }
  }
  return labels;
}

function labelOf(value: unknown, names: Label['names']): string | undefined {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (typeof value === 'string') return value;
  if (typeof value !== 'bigint' && !Number.isInteger(value)) return undefined;
  const index = Number(value);
  return index < 0 ? undefined : (names?.[index] ?? `${index}`);
}

function pictureIn(value: unknown): Buffer {
  const bytes =
    value instanceof Uint8Array ? value : (value as { bytes?: unknown } | null | undefined)?.bytes;
  if (!(bytes instanceof Uint8Array)) throw new Error('no bytes of a picture in its row');
  checkSize(bytes.length);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

const recent = new Map<string, Promise<readonly unknown[]>>();

/** Milliseconds after which nobody reads on. */
const idle = 5000;
let timer: NodeJS.Timeout | undefined;

/**
 * The row groups read last, two of all files: pictures are decoded in their order, some ahead. One that is damaged is
 * not tried again for each of its pictures.
 */
function kept(key: string, read: () => Promise<readonly unknown[]>): Promise<readonly unknown[]> {
  const found = recent.get(key) ?? read();
  recent.delete(key);
  recent.set(key, found);
  found.catch((error) => mayPass(error) && recent.delete(key));
  const [oldest] = recent.keys();
  if (recent.size > 2 && oldest !== undefined) recent.delete(oldest);
  clearTimeout(timer);
  timer = setTimeout(() => recent.clear(), idle).unref();
  return found;
}
