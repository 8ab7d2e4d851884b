import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { type Numbers, readRecords, writeRecords } from '../../src/checkpoint/records.js';
import { temporaryFolder } from '../support/run.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => fs.rm(folder, { recursive: true }));

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function written(records: readonly Numbers[]): Promise<string> {
  const file = path.join(folder, `${Math.random()}.safetensors`);
  await writeRecords(file, each(records));
  return file;
}

async function read(file: string): Promise<Numbers[]> {
  const all: Numbers[] = [];
  for await (const record of readRecords<Numbers>(file)) all.push(record);
  return all;
}

const records = [
  { a: Float64Array.of(0.1, Number.NaN), b: Uint8Array.of(), c: Float32Array.of(1, 2, 3) },
  { a: Float64Array.of(), b: Uint8Array.of(7, 8), c: Float32Array.of() },
  { a: Float64Array.of(1 / 3), b: Uint8Array.of(9), c: Float32Array.of(-0) },
];

test('records come back as they were, one after another, empty numbers too', async () => {
  expect(await read(await written(records))).toEqual(records);
  expect(await read(await written([]))).toEqual([]);
});

test('a file that is damaged or missing is refused before its first record', async () => {
  const file = await written(records);
  const bytes = await fs.readFile(file);
  await fs.writeFile(file, bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1));
  await expect(read(file)).rejects.toThrow(UserError);
  await expect(read(path.join(folder, 'none'))).rejects.toThrow(UserError);
});

test('of records that end in an error nothing stays', async () => {
  const file = path.join(folder, 'failing', 'x.safetensors');
  async function* failing(): AsyncGenerator<Numbers> {
    yield records[0]!;
    throw new Error('no more');
  }
  await expect(writeRecords(file, failing())).rejects.toThrow('no more');
  expect(await fs.readdir(path.dirname(file))).toEqual([]);
});
