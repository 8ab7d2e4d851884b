import sharp from 'sharp';
import { encodePng } from '../../src/data/pictures.js';
import { textIn, withText } from '../../src/data/png-text.js';

const plain = await encodePng({ width: 5, height: 3, data: Uint8Array.from({ length: 45 }, (_, i) => i) });
const marked = withText(plain, '{"seed":7}');

test('what is kept is found again, by other programs too, and no pixel is another', async () => {
  expect(textIn(marked, 100)).toBe('{"seed":7}');
  expect(textIn(plain, 100)).toBeUndefined();
  const { comments, width } = await sharp(marked).metadata();
  expect([comments, width]).toEqual([[{ keyword: 'vqgen', text: '{"seed":7}' }], 5]);
  expect(await sharp(marked, { failOn: 'warning' }).raw().toBuffer()).toEqual(
    await sharp(plain).raw().toBuffer(),
  );
});

test('it may stand anywhere; texts of others are none', () => {
  const chunk = marked.subarray(33, marked.length - (plain.length - 33));
  const end = plain.length - 12;
  expect(textIn(Buffer.concat([plain.subarray(0, end), chunk, plain.subarray(end)]), 100)).toBe('{"seed":7}');
  expect(textIn(Buffer.concat([plain, chunk]), 100)).toBeUndefined();
  const other = Buffer.from(marked);
  other.write('other', 41);
  expect(textIn(other, 100)).toBeUndefined();
});

const changed = (change: (png: Buffer) => void): Buffer => {
  const png = Buffer.from(marked);
  change(png);
  return png;
};

test.each([
  ['another format', Buffer.from('\xff\xd8\xff\xe0', 'latin1'), 'which is no PNG'],
  ['nothing', Buffer.alloc(0), 'which is no PNG'],
  ['a cut', marked.subarray(0, 60), 'which is cut off'],
  ['a cut in a length', marked.subarray(0, 35), 'which is cut off'],
  ['a length beyond the end', changed((png) => png.writeUInt32BE(2 ** 32 - 1, 33)), 'which is cut off'],
  [
    'another byte',
    changed((png) => png.write('8', 55)),
    'whose text of vqgen is damaged: its checksum does not fit',
  ],
])('%s', (_, png, message) => {
  expect(() => textIn(png, 100)).toThrow(message);
});

test('no more is read than may be', () => {
  expect(() => textIn(marked, 9)).toThrow('whose text of vqgen is longer than 9 bytes');
});
