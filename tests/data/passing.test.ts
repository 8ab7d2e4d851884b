import { mayPass, steadily } from '../../src/data/passing.js';

const failing = (code: string) => Object.assign(new Error(code), { code, errno: -1 });

test("the system's errors may pass, those of a file's bytes do not", () => {
  expect(mayPass(failing('EIO'))).toBe(true);
  expect(mayPass(new Error('VipsJpeg: out of memory'))).toBe(true);
  expect(mayPass(new Error('Input buffer contains unsupported image format'))).toBe(false);
  expect(mayPass(Object.assign(new Error('packed'), { code: 'Z_DATA_ERROR' }))).toBe(false);
});

test('it is tried three times more, and only so long for all together', async () => {
  let tries = 0;
  const patience = { left: 25 };
  const read = async () => {
    tries++;
    throw failing('EMFILE');
  };
  const o = { patience, pauses: [1, 10, 10] };
  await expect(steadily(read, o)).rejects.toThrow('EMFILE');
  expect([tries, patience.left]).toEqual([4, 4]);
  await expect(steadily(read, o)).rejects.toThrow('EMFILE');
  expect([tries, patience.left]).toEqual([6, 3]);
  await expect(steadily(read, { isLost: true })).rejects.toThrow('EMFILE');
  expect(tries).toBe(7);
});
