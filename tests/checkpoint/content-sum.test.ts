import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { float32, int32 } from '../../src/base/tensor.js';
import { readChecked, writeWithSum } from '../../src/checkpoint/content-sum.js';
import { inHalves, readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const tensors = {
  a: float32([2, 2], [1, 2, 3, 4]),
  b: int32([1], [7]),
  h: inHalves(float32([3], [1, 2, 4])),
};

test('each flipped bit of a file with a checksum is seen, or changes nothing', async () => {
  const file = path.join(await freshFolder(), 'f');
  const sum = await writeWithSum(file, tensors, { about: 'something' });
  const bytes = await fs.readFile(file);
  expect(sum.bytes).toBe(bytes.length);
  const whole = await readChecked(file);
  expect(whole.metadata).toEqual({ about: 'something' });
  expect(whole.tensors.h!.data).toEqual(Float32Array.of(1, 2, 4));
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << (at % 8);
    await fs.writeFile(file, damaged);
    const read = await readChecked(file).catch((error) => error);
    if (read instanceof UserError) continue;
    expect(read.tensors).toEqual(whole.tensors); // The name of the checksum itself, or a space between.
  }
});

test('a file without one is read as it is', async () => {
  const file = path.join(await freshFolder(), 'f');
  await writeSafetensors(file, tensors, { about: 'x' });
  expect(await readChecked(file)).toEqual(await readSafetensors(file));
});
