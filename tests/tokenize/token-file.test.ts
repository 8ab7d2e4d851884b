import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { int32 } from '../../src/base/tensor.js';
import { readSafetensors, type StoredTensors, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { gridsIn, openTokenWriter, readTokens, sizesOf } from '../../src/tokenize/token-file.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { mutatedBytes } from '../support/mutate.js';

afterAll(removeFolders);

const info = { tokenizer: 'x', size: 8, names: ['a', 'b'], classes: ['all'] };
const labels = Int32Array.of(0, 0);

test('one grid: the tensor codes and its vocabulary, whatever the grid is called', async () => {
  const file = path.join(await freshFolder(), 'one.safetensors');
  const grid = { name: 'top', height: 1, width: 2, vocab: 70000 };
  const writer = await openTokenWriter(file, [grid]);
  await writer.append({ top: int32([2, 1, 2], [0, 69999, 2, 3]) });
  await writer.finish(info, labels);
  const { tensors, metadata } = await readSafetensors(file);
  expect(tensors.codes).toEqual({ dtype: 'U32', shape: [2, 1, 2], data: Uint32Array.of(0, 69999, 2, 3) });
  expect(metadata).toEqual({
    tokenizer: 'x',
    vocab: '70000',
    size: '8',
    names: '["a","b"]',
    classes: '["all"]',
    codings: '1',
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const { grids } = await readTokens(file, '');
  expect(grids).toEqual([{ ...grid, name: 'codes' }]);
  expect(sizesOf(grids)).toEqual({ vocab: 70000, height: 1, width: 2 });
});

test('several grids: a tensor each, read end to end', async () => {
  const file = path.join(await freshFolder(), 'two.safetensors');
  const grids = [
    { name: 'top', height: 1, width: 1, vocab: 4 },
    { name: 'bottom', height: 1, width: 2, vocab: 70000 },
  ];
  const writer = await openTokenWriter(file, grids);
  await writer.append({ top: int32([1, 1, 1], [3]), bottom: int32([1, 1, 2], [69999, 5]) });
  await writer.append({ top: int32([1, 1, 1], [1]), bottom: int32([1, 1, 2], [6, 7]) });
  await writer.finish(info, labels);
  const { tensors, metadata } = await readSafetensors(file);
  expect(Object.keys(tensors).sort()).toEqual(['codes.bottom', 'codes.top', 'labels']);
  expect(tensors['codes.top']).toEqual({ dtype: 'U16', shape: [2, 1, 1], data: Uint16Array.of(3, 1) });
  expect(metadata).not.toHaveProperty('vocab');
  const tokens = await readTokens(file, '');
  expect(tokens.grids).toEqual(grids);
  expect([...tokens.codes]).toEqual([3, 69999, 5, 1, 6, 7]);
  expect(tokens.count).toBe(2);
  expect(sizesOf(tokens.grids)).toEqual({ vocab: 70000, height: 1, width: 2, grids });
});

test('another file has no grids', () => {
  expect(gridsIn({ entries: {}, metadata: {} })).toEqual([]);
});

describe('a file that is not what was written', () => {
  const grid = { name: 'codes', height: 2, width: 2, vocab: 5 };
  const told = { name: 'condition', height: 1, width: 1, vocab: 3 };
  const about = {
    ...{ tokenizer: 'x', size: '8', vocab: '5', names: '["a","b"]', classes: '["all","none"]', codings: '2' },
    condition: JSON.stringify({ kind: 'edges', size: 8, grid: told }),
  };
  const held: StoredTensors = {
    codes: { dtype: 'U16', shape: [2, 2, 2], data: Uint16Array.of(0, 1, 2, 3, 4, 0, 1, 2) },
    condition: { dtype: 'U16', shape: [2, 1, 1], data: Uint16Array.of(0, 2) },
    labels: { dtype: 'I32', shape: [2], data: Int32Array.of(0, 1) },
  };

  async function written(change: { tensors?: StoredTensors; about?: Record<string, string> } = {}) {
    const file = path.join(await freshFolder(), 'x.safetensors');
    await writeSafetensors(file, { ...held, ...change.tensors }, { ...about, ...change.about });
    return file;
  }

  test('as it is, it is read', async () => {
    const tokens = await readTokens(await written(), '');
    expect(tokens).toMatchObject({ grids: [grid], count: 2, codings: 2, condition: { grid: told } });
    expect([...tokens.codes, ...tokens.told!]).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 0, 2]);
  });

  const codes = (dtype: 'U16' | 'U32' | 'I32' | 'F32', shape: number[], values: number[]): StoredTensors => {
    const types = { U16: Uint16Array, U32: Uint32Array, I32: Int32Array, F32: Float32Array };
    return { codes: { dtype, shape, data: types[dtype].from(values) } };
  };
  const eight = [0, 1, 2, 3, 4, 0, 1, 2];
  const labels = (...values: number[]): StoredTensors => ({
    labels: { dtype: 'I32', shape: [values.length], data: Int32Array.from(values) },
  });

  test.each<[string, Parameters<typeof written>[0], RegExp]>([
    [
      'a code beyond the vocabulary',
      { tensors: codes('U16', [2, 2, 2], [...eight.slice(1), 5]) },
      /the code 5, of codes 0 to 4/,
    ],
    ['codes below 0', { tensors: codes('I32', [2, 2, 2], eight) }, /codes of type I32/],
    ['codes that are no whole numbers', { tensors: codes('F32', [2, 2, 2], eight) }, /codes of type F32/],
    ['fewer rows', { tensors: codes('U16', [1, 2, 2], eight.slice(4)) }, /\[1,2,2\] where \[2,2,2\]/],
    ['another shape', { tensors: codes('U16', [2, 4], eight) }, /without codes or their description/],
    [
      'what is told beyond its codes',
      { about: { condition: about.condition.replace('"vocab":3', '"vocab":2') } },
      /the code 2, of codes 0 to 1/,
    ],
    ['a label of no class', { tensors: labels(0, 2) }, /the label 2 of 2 classes/],
    ['a label below 0', { tensors: labels(-1, 0) }, /the label -1 of 2 classes/],
    ['more labels than rows', { tensors: labels(0, 0, 0, 0) }, /2 names for 4 rows/],
    ['fewer names', { about: { names: '["a"]' } }, /1 names for 2 rows/],
    ['names that are none', { about: { names: '[1,2]' } }, /names cannot be read/],
    ['classes that are no JSON', { about: { classes: '[' } }, /classes cannot be read/],
    ['no codings', { about: { codings: '0' } }, /codings cannot be read/],
    ['half codings', { about: { codings: '1.5' } }, /codings cannot be read/],
    ['a size of no pictures', { about: { size: 'large' } }, /size cannot be read/],
    ['nothing told', { about: { condition: '{}' } }, /condition cannot be read/],
    ['no vocabulary', { about: { vocab: 'NaN' } }, /without codes or their description/],
    ['grids that are none', { about: { grids: '{"length":1}' } }, /without codes or their description/],
  ])('%s', async (_, change, message) => {
    const file = await written(change);
    await expect(readTokens(file, 'Next: this.')).rejects.toThrow(message);
    await expect(readTokens(file, 'Next: this.')).rejects.toThrow(UserError);
    await expect(readTokens(file, 'Next: this.')).rejects.toThrow(/Next: this\.$/);
  });

  test('300 mutations give the tokens that were written or one sentence, and never another error', async () => {
    const file = path.join(await freshFolder(), 'x.safetensors');
    const writer = await openTokenWriter(file, [grid], { kind: 'edges', size: 8, grid: told });
    await writer.append({ codes: int32([2, 2, 2], eight) }, Int32Array.of(0, 2));
    await writer.finish({ ...info, classes: ['all', 'none'] }, Int32Array.of(0, 1));
    const [whole, bytes] = [await readTokens(file, ''), await fs.readFile(file)];
    let refused = 0;
    for (let seed = 0; seed < 300; seed++) {
      await fs.writeFile(file, mutatedBytes(bytes, seed));
      const read = await readTokens(file, 'Next: this.').catch((error) => error);
      if (read instanceof UserError) refused++;
      else expect(read).toEqual(whole);
    }
    expect(refused).toBeGreaterThan(250);
  });
});
