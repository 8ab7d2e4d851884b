/** Records of numbers, one after another in a safetensors file: read back as they were, one in memory at a time. */
import { must } from '../base/lookup.js';
import { int32 } from '../base/tensor.js';
import { checkContent, described, withContentSum } from './content-sum.js';
import { openRowsWriter, type RowsWriter } from './rows-writer.js';
import { openSafetensors, type StoredData, writeSafetensors } from './safetensors.js';
import type { StoredType } from './safetensors-header.js';

/** By their names: all records of a file have the same ones, each of one type and any length. */
export type Numbers = Readonly<Record<string, StoredData>>;

function typeOf(data: StoredData): StoredType {
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Uint8Array) return 'U8';
  throw new Error(`internal: records of ${data.constructor.name}`);
}

/** Beside the numbers: how many each record has of each, [records, names]. */
const lengthsName = 'lengths';

export async function writeRecords<R extends { readonly [K in keyof R]: StoredData }>(
  file: string,
  records: AsyncIterable<R>,
): Promise<void> {
  let into: { writer: RowsWriter; names: readonly string[] } | undefined;
  const lengths: number[] = [];
  try {
    for await (const numbers of records) {
      const record = numbers as unknown as Numbers;
      into ??= await opened(file, record);
      for (const name of into.names) lengths.push(must(record[name], name).length);
      await into.writer.append(record);
    }
    const names = into?.names ?? [];
    const count = names.length === 0 ? 0 : lengths.length / names.length;
    const others = { [lengthsName]: int32([count, names.length], lengths) };
    const held = { ...into?.writer.described(), [lengthsName]: described(others[lengthsName]!) };
    const metadata = withContentSum({ names: JSON.stringify(names) }, held);
    if (into) await into.writer.finish(others, metadata);
    else await writeSafetensors(file, others, metadata);
  } catch (error) {
    await into?.writer.abort().catch(() => {});
    throw error;
  }
}

async function opened(file: string, record: Numbers) {
  const types = Object.entries(record).map(
    ([name, data]) => [name, { dtype: typeOf(data), row: [] }] as const,
  );
  return { writer: await openRowsWriter(file, Object.fromEntries(types)), names: Object.keys(record) };
}

/** @throws UserError, before the first, for a file that is missing or not what was written */
export async function* readRecords<R>(file: string): AsyncGenerator<R> {
  const opened = await openSafetensors(file);
  try {
    await checkContent(opened, file);
    const names: string[] = JSON.parse(opened.metadata.names ?? '[]');
    const lengths = (await opened.read(lengthsName)).data;
    const ats = names.map(() => 0);
    for (let i = 0; i < lengths.length; i += names.length) {
      const record: Record<string, StoredData> = {};
      for (const [k, name] of names.entries()) {
        const length = Number(lengths[i + k]);
        record[name] = (await opened.readRows(name, ats[k]!, length)).data;
        ats[k]! += length;
      }
      yield record as R;
    }
  } finally {
    await opened.close();
  }
}
