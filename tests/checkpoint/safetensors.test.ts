import fs from 'node:fs/promises';
import path from 'node:path';
import { toHalf } from '../../src/base/half.js';
import { float32, int32 } from '../../src/base/tensor.js';
import { openRowsWriter } from '../../src/checkpoint/rows-writer.js';
import {
  inHalves,
  readSafetensors,
  sha256,
  toHost,
  writeSafetensors,
} from '../../src/checkpoint/safetensors.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

/** A file by hand, so that reading is not tested against our own writing. */
async function byHand(header: unknown, data: Uint8Array): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = path.join(await freshFolder(), 'hand.safetensors');
  await fs.writeFile(file, Buffer.concat([length, json, data]));
  return file;
}

describe('writing', () => {
  test('the exact bytes of a small file', async () => {
    const file = path.join(await freshFolder(), 'a.safetensors');
    await writeSafetensors(file, { b: int32([1], [7]), a: float32([2], [1, -2]) }, { z: '1', y: '2' });
    const bytes = await fs.readFile(file);
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    expect(bytes.toString('utf8', 8, 8 + length).trimEnd()).toBe(
      '{"__metadata__":{"y":"2","z":"1"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' +
        '"b":{"dtype":"I32","shape":[1],"data_offsets":[8,12]}}',
    );
    expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 128, 63, 0, 0, 0, 192, 7, 0, 0, 0]);
    expect(await fs.readdir(path.dirname(file))).toEqual(['a.safetensors']);
  });

  test('every type comes back, scalars and empty tensors too, whatever the order of names', async () => {
    const tensors = {
      'model.x': float32([], [0.1]),
      empty: float32([0, 3], []),
      u8: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 255) },
      u16: { dtype: 'U16', shape: [1, 2], data: Uint16Array.of(65535, 1) },
      u32: { dtype: 'U32', shape: [1], data: Uint32Array.of(4294967295) },
      i64: { dtype: 'I64', shape: [1], data: BigInt64Array.of(-5n) },
    } as const;
    const folder = await freshFolder();
    const [one, two] = [path.join(folder, 'one'), path.join(folder, 'two')];
    await writeSafetensors(one, tensors);
    await writeSafetensors(two, Object.fromEntries(Object.entries(tensors).reverse()));
    expect(await sha256(one)).toBe(await sha256(two));
    const read = (await readSafetensors(one)).tensors;
    expect(Object.keys(read).sort()).toEqual(Object.keys(tensors).sort());
    for (const [name, t] of Object.entries(tensors)) {
      expect(read[name]!.shape).toEqual(t.shape);
      expect(read[name]!.data).toEqual(t.data);
    }
    expect([...toHost(read.u16!).data]).toEqual([65535, 1]);
  });

  test('sha256 of a known text', async () => {
    const file = path.join(await freshFolder(), 'abc');
    await fs.writeFile(file, 'abc');
    expect(await sha256(file)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  test('rows of unknown number give the file that all at once would give', async () => {
    const folder = await freshFolder();
    const [rows, whole] = [path.join(folder, 'rows'), path.join(folder, 'whole')];
    const labels = int32([3], [4, 5, 6]);
    const writer = await openRowsWriter(rows, {
      codes: { dtype: 'U16', row: [2, 1] },
      more: { dtype: 'U32', row: [1] },
    });
    await writer.append({ codes: Uint16Array.of(1, 2, 3, 4), more: Uint32Array.of(7, 8) });
    await writer.append({ codes: Uint16Array.of(5, 6), more: Uint32Array.of(9) });
    await writer.finish({ labels }, { vocab: '16' });
    const codes = { dtype: 'U16', shape: [3, 2, 1], data: Uint16Array.of(1, 2, 3, 4, 5, 6) } as const;
    const more = { dtype: 'U32', shape: [3, 1], data: Uint32Array.of(7, 8, 9) } as const;
    await writeSafetensors(whole, { labels, codes, more }, { vocab: '16' });
    expect(await fs.readFile(rows)).toEqual(await fs.readFile(whole));
    expect((await fs.readdir(folder)).sort()).toEqual(['rows', 'whole']);
  });

  test('rows given up leave nothing; half a row is refused', async () => {
    const folder = await freshFolder();
    const writer = await openRowsWriter(path.join(folder, 'rows'), { codes: { dtype: 'U16', row: [2] } });
    await expect(writer.append({ codes: Uint16Array.of(1, 2, 3) })).rejects.toThrow('internal: 3 values');
    await expect(writer.append({ codes: Uint8Array.of(1, 2) })).rejects.toThrow('internal');
    await writer.abort();
    expect(await fs.readdir(folder)).toEqual([]);
  });
});

describe('half precision', () => {
  test('every half comes back', async () => {
    const halves = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i).filter(
      (h) => (h & 0x7c00) !== 0x7c00 || (h & 0x3ff) === 0,
    );
    const file = await byHand(
      { h: { dtype: 'F16', shape: [halves.length], data_offsets: [0, 2 * halves.length] } },
      Buffer.from(halves.buffer),
    );
    const { h } = (await readSafetensors(file)).tensors;
    expect(toHalf(h!.data as Float32Array)).toEqual(halves);
  });

  test('what lies between goes to the nearest, ties to even; the largest to infinity', () => {
    const step = 2 ** -10; // between halves from 1 to 2
    const ones = [1 + 0.5 * step, 1 + 1.5 * step, 1 + 0.51 * step, -(1 + 0.49 * step)];
    const others = [65519, 65520, 2 ** -25, 1.5 * 2 ** -24];
    const data = toHalf(Float32Array.from([...ones, ...others]));
    expect([...data]).toEqual([0x3c00, 0x3c02, 0x3c01, 0xbc00, 0x7bff, 0x7c00, 0, 2]);
  });

  test('a tensor with a number that is too large for it is stored as it is', () => {
    expect(inHalves(float32([1], [65504]))).toMatchObject({ dtype: 'F16', data: Uint16Array.of(0x7bff) });
    expect(inHalves(float32([2], [1e-9, 65505]))).toEqual({
      dtype: 'F32',
      shape: [2],
      data: Float32Array.of(1e-9, 65505),
    });
  });
});

describe('reading', () => {
  test('half precision is widened', async () => {
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555); // 1, −2, 2⁻²⁴, ∞, 0.33325
    const brains = Uint16Array.of(0x3f80, 0xc000); // 1, −2
    const file = await byHand(
      {
        h: { dtype: 'F16', shape: [5], data_offsets: [0, 10] },
        b: { dtype: 'BF16', shape: [2], data_offsets: [10, 14] },
      },
      Buffer.concat([Buffer.from(halves.buffer), Buffer.from(brains.buffer)]),
    );
    const { h, b } = (await readSafetensors(file)).tensors;
    expect([...h!.data]).toEqual([1, -2, 2 ** -24, Number.POSITIVE_INFINITY, 0.333251953125]);
    expect([...b!.data]).toEqual([1, -2]);
    expect(h!.dtype).toBe('F32');
  });

  const zero = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';
  const many = Array.from({ length: 6e4 }, (_, i) => `"${i}":${zero},`).join('');
  const one = (o: object = {}) => ({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...o } });
  test.each([
    ['cut short', one(), 7, 'where the header describes'],
    ['with bytes left over', one(), 9, 'where the header describes'],
    ['of which a shape does not match', one({ shape: [3] }), 8, '8 bytes for the tensor a, F32 [3]'],
    ['of which offsets run backwards', one({ data_offsets: [8, 0] }), 8, 'bytes for the tensor a'],
    ['of which an offset is missing', one({ data_offsets: [0] }), 8, 'a tensor a without type'],
    ['of which a shape is negative', one({ shape: [-2] }), 8, 'without type, shape and offsets'],
    ['of too many axes', one({ shape: Array(40).fill(1) }), 8, 'without type, shape and offsets'],
    ['of which a shape is no number in any register', one({ shape: [2 ** 52, 2 ** 52] }), 8, '8 bytes for'],
    ['with an unknown type', one({ dtype: 'F8_E4M3' }), 8, 'F8_E4M3'],
    ['with a gap', one({ data_offsets: [4, 12] }), 12, 'a gap at a'],
    [
      'with an overlap',
      { ...one(), b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] } },
      12,
      'a tensor that overlaps another at b',
    ],
    ['with a tensor twice', `{"a":${zero},"a":${zero}}`, 0, 'a key that is there twice'],
    ['with a tensor called __proto__', `{"__proto__":${zero}}`, 0, 'no description of the tensor __proto__'],
    ['with more tensors than a model has', `{${many}"a":${zero}}`, 0, 'more than 500000 keys and values'],
    ['of lists in lists', `{"a":${'['.repeat(1e6)}`, 0, 'more than 64 lists and objects in each other'],
    ['with a name of 2 MB', `{"${'a'.repeat(2e6)}":1}`, 0, `aaa… (2000`],
    ['that is not JSON', '{"a": ', 8, 'a header that is not JSON'],
    ['that is a list', '[]', 0, 'a header that is no JSON object'],
    ['with metadata that are no text', { __metadata__: { a: 1 } }, 0, 'metadata that are not text'],
  ])('a file %s is refused', async (_, header, bytes, message) => {
    const file = await byHand(header, new Uint8Array(bytes));
    await expect(readSafetensors(file)).rejects.toMatchObject({
      name: 'UserError',
      message: expect.stringContaining(message),
    });
  });

  test('a folder is refused by name', async () => {
    const folder = await freshFolder();
    await expect(readSafetensors(folder)).rejects.toThrow(
      `Expected a safetensors file for ${folder} but received a folder.`,
    );
  });

  test('a header of 90 MB is not read', async () => {
    const file = path.join(await freshFolder(), 'sparse');
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(90_000_000n);
    await fs.writeFile(file, head);
    await fs.truncate(file, 100_000_000);
    await expect(readSafetensors(file)).rejects.toThrow('announces a header of 90000000');
  });

  test('garbage, an empty file and no file are refused by name', async () => {
    const folder = await freshFolder();
    const garbage = path.join(folder, 'garbage');
    await fs.writeFile(garbage, Buffer.alloc(100, 0xff));
    await expect(readSafetensors(garbage)).rejects.toThrow(
      `Expected a safetensors file for ${garbage} but received a file of 100 bytes that announces a header of`,
    );
    await fs.writeFile(garbage, '');
    await expect(readSafetensors(garbage)).rejects.toThrow('but received 0 bytes.');
    await expect(readSafetensors(path.join(folder, 'none'))).rejects.toThrow(
      'but received one which does not exist.',
    );
  });
});
