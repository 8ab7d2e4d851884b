import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { openTorchFile } from '../../src/exchange/torch-file.js';

const fixture = (name: string) => path.resolve('tests/exchange/fixtures', name);
let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-torch-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** What scripts/torch-fixture.py put into both formats. */
const base = Array.from({ length: 24 }, (_, i) => i / 8 - 1);
const wanted: Record<string, [dtype: string, shape: number[], values: (number | bigint)[]]> = {
  plain: ['F32', [4, 6], base],
  transposed: ['F32', [6, 4], base.map((_, i) => base[(i % 4) * 6 + Math.floor(i / 4)]!)],
  window: ['F32', [2, 3], [6, 8, 10, 12, 14, 16].map((i) => base[i]!)],
  row: ['F32', [6], base.slice(12, 18)],
  expanded: ['F32', [3], [1.5, 1.5, 1.5]],
  scalar: ['F32', [], [0.75]],
  empty: ['F32', [0, 3], []],
  parameter: ['F32', [2], [Math.fround(0.1), Math.fround(-0.2)]],
  half: ['F32', [5], [1, -0.5, 65504, 2 ** -24, 1049 / 2 ** 20]],
  bfloat: ['F32', [4], [1, -0.33203125, 226 * 2 ** 120, 162 * 2 ** -107]],
  double: ['F64', [2], [0.1, -2]],
  long: ['I64', [3], [3n, -1n, 2n ** 40n]],
  int: ['I32', [2], [7, -8]],
  short: ['I32', [1], [-300]],
  bytes: ['U8', [2], [0, 255]],
  bool: ['U8', [2], [1, 0]],
};

test.each(['checkpoint.ckpt', 'old-format.pth'])('%s: every type, views, shared storages', async (name) => {
  const file = await openTorchFile(fixture(name));
  const read: Record<string, unknown> = {};
  for (const name of Object.keys(file.entries)) {
    const { dtype, shape, data } = await file.read(name);
    expect(file.entries[name]!.shape).toEqual(shape);
    read[name] = [dtype, shape, Array.from(data as ArrayLike<number>)];
  }
  await file.close();
  expect(read).toEqual(wanted);
});

test('what stands beside the tensors', async () => {
  const file = await openTorchFile(fixture('checkpoint.ckpt'));
  await file.close();
  expect(file.notes).toEqual({ epoch: 3, global_step: 12, 'pytorch-lightning_version': '1.0.8' });
});

test.each(['module.pt', 'protocol-4.pt'])('%s: a bare state dictionary', async (name) => {
  const file = await openTorchFile(fixture(name));
  expect(Object.keys(file.entries)).toEqual(['weight']);
  expect(Array.from((await file.read('weight')).data as Float32Array)).toEqual([0, 1, 2, 3, 4, 5]);
  await file.close();
});

const asked = /vqgen-was-here/;
const refusals: [what: string, file: () => string, sentence: RegExp][] = [
  [
    'a call of os.system',
    () => fixture('evil.ckpt'),
    /tensors only for .* but received one that wants posix\.system called\./,
  ],
  ['the same in the old format', () => fixture('evil-old.pth'), /wants posix\.system called\./],
  ['a bare pickle that calls', () => fixture('evil.pkl'), /wants posix\.system called\./],
  ['a whole module', () => fixture('whole-module.pt'), /wants torch\.nn\.modules\.linear\.Linear called\./],
  ['a zip bomb', () => fixture('bomb.ckpt'), /an archive in which archive\/data\.pkl is compressed\./],
  [
    'half an archive',
    () => cut('checkpoint.ckpt', 0.5),
    /damaged one: End of central directory record signature not found/,
  ],
  ['half an old file', () => cut('old-format.pth', 0.5), /damaged one: it ends too early\./],
  [
    'an old file without its last values',
    () => cut('old-format.pth', 0.99),
    /damaged one: it ends too early\./,
  ],
  [
    'an archive without values',
    () => renamed('checkpoint.ckpt', 'checkpoint/data/1', 'checkpoint/dada/1'),
    /the values of \w+ are missing/,
  ],
];

test.each(refusals)('%s is refused in one sentence', async (_, file, sentence) => {
  const error = await openTorchFile(file()).catch((error) => error);
  expect(error).toBeInstanceOf(UserError);
  expect(error.message).toMatch(sentence);
  expect(error.message).not.toMatch(asked);
  expect(fs.existsSync('/tmp/vqgen-was-here')).toBe(false);
});

test('no cut of a file does harm', async () => {
  const whole = fs.readFileSync(fixture('old-format.pth'));
  const file = path.join(folder, 'cut');
  for (let length = 3; length < whole.length; length += 41) {
    fs.writeFileSync(file, whole.subarray(0, length));
    await expect(openTorchFile(file)).rejects.toThrow(UserError);
  }
});

test('no changed byte does more than an error that is told', async () => {
  const whole = fs.readFileSync(fixture('module.pt'));
  const file = path.join(folder, 'changed');
  for (let at = 0; at < whole.length; at += 3) {
    const changed = Uint8Array.from(whole);
    changed[at] = changed[at]! ^ (1 << (at % 8));
    fs.writeFileSync(file, changed);
    const opened = await openTorchFile(file).catch((error) => error);
    if (opened instanceof Error) expect(opened).toBeInstanceOf(UserError);
    else {
      for (const name of Object.keys(opened.entries)) await opened.read(name);
      await opened.close();
    }
  }
});

function cut(name: string, share: number): string {
  const whole = fs.readFileSync(fixture(name));
  const file = path.join(folder, `${share} of ${name}`);
  fs.writeFileSync(file, whole.subarray(0, Math.floor(share * whole.length)));
  return file;
}

/** A name of the archive's directory replaced by another of the same length. */
function renamed(name: string, from: string, to: string): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, fs.readFileSync(fixture(name), 'latin1').replaceAll(from, to), 'latin1');
  return file;
}
