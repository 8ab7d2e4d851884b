import path from 'node:path';
import { int32 } from '../../src/base/tensor.js';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { gridsIn, openTokenWriter, readTokens, sizesOf } from '../../src/tokenize/token-file.js';
import { freshFolder, removeFolders } from '../support/folder.js';

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
