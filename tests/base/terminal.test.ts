import fs from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { passOn, type Stream, sayLine, visible, writeJson, writeLines } from '../../src/base/terminal.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

function collect() {
  const stream = new PassThrough();
  let written = '';
  stream.on('data', (chunk) => {
    written += chunk;
  });
  return { stream, text: () => written };
}

/** Titles, screens, forged lines, overwritten ones, C1 controls, DEL, directions, separators. */
const hostile =
  'a\x1b]0;title\x07b\x1b[2Jc\nNext: forged\rd\te\x00\x7f\x9b31m\x85\u202e\u2066\u2069\u200f\u061c\u2028\u2029';

const acts = (text: string): boolean =>
  [...text].some((char) => {
    const code = char.codePointAt(0)!;
    return (
      code < 32 ||
      (code >= 0x7f && code < 0xa0) ||
      /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/.test(char)
    );
  });

test('what would act is shown, and nothing else is changed', () => {
  expect(visible(hostile)).toBe(
    'a\\x1b]0;title\\x07b\\x1b[2Jc\\nNext: forged\\rd\\te\\x00\\x7f\\x9b31m\\x85\\u202e\\u2066\\u2069\\u200f\\u061c\\u2028\\u2029',
  );
  const all = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).join('');
  expect(acts(visible(all))).toBe(false);
  const plain = 'C:\\new\\x.png Äpfel 日本 🍎 שלום “quotes” – 1 × 2';
  expect(visible(plain)).toBe(plain);
});

test('a line is one line, an outcome as many as it has', async () => {
  const { stream, text } = collect();
  sayLine(stream, hostile);
  await writeLines(stream, ['one', hostile]);
  expect(text().split('\n')).toEqual([visible(hostile), 'one', visible(hostile), '']);
});

test('JSON holds no character that acts, and gives back what went in', async () => {
  const { stream, text } = collect();
  await writeJson(stream, { [hostile]: [hostile, 1, null] });
  expect(acts(text().replace(/\n$/, ''))).toBe(false);
  expect(JSON.parse(text())).toEqual({ [hostile]: [hostile, 1, null] });
});

test('of what a guarded process says, its lines and its bar pass', () => {
  const { stream, text } = collect();
  const bar = '\x1b7\x1b[1GStage 1 ░ 1/2 steps\x1b[0K\r\x1b[Knote\n\x1b7\x1b8\n';
  passOn(stream, `${bar}\x1b]0;title\x07\x1b[2J\x9b\u202e\n`);
  expect(text()).toBe(`${bar}\\x1b]0;title\\x07\\x1b[2J\\x9b\\u202e\n`);
});

test('a terminal that is gone ends nothing', () => {
  const gone = {
    write() {
      throw Object.assign(new Error('write EIO'), { code: 'EIO' });
    },
  };
  expect(() => sayLine(gone as unknown as Stream, 'one')).not.toThrow();
});

test('into a file everything is written, or its place is named', async () => {
  const file = path.join(await freshFolder(), 'out.json');
  const to = fs.openSync(file, 'w');
  const stream = Object.assign(new PassThrough(), { fd: to });
  await writeLines(stream, ['one', 'two']);
  fs.closeSync(to);
  expect(fs.readFileSync(file, 'utf8')).toBe('one\ntwo\n');
  const closed = Object.assign(new PassThrough(), { fd: fs.openSync(file, 'r') });
  await expect(writeLines(closed, ['three'])).rejects.toMatchObject({
    code: 'EBADF',
    path: 'stdout, where the outcome goes',
  });
  fs.closeSync(closed.fd);
});
