import sharp, { type Metadata } from 'sharp';
import { checkPages, heldBytes } from '../../src/data/picture-limits.js';

const meta = (changes: object): Metadata =>
  ({ format: 'png', width: 16000, height: 16000, channels: 3, depth: 'uchar', ...changes }) as Metadata;
const none = Buffer.alloc(0);

test('what is decoded row by row may be large, what is held whole may not', () => {
  expect(heldBytes(none, meta({}))).toBe(16000 * 3 * 256);
  for (const whole of [{ isProgressive: true }, { format: 'gif' }, { depth: 'ushort' }])
    expect(() => heldBytes(none, meta(whole))).toThrow(
      '16000×16000 pixels, which take more than 512 MB at once',
    );
});

test('a progressive JPEG of many scans over many pixels is refused', () => {
  const scans = Buffer.from('\xff\xda--'.repeat(300), 'latin1');
  const jpeg = { format: 'jpeg', isProgressive: true, width: 4000, height: 4000 };
  expect(heldBytes(scans.subarray(0, 40), meta(jpeg))).toBe(4000 * 4000 * 3);
  expect(() => heldBytes(scans, meta(jpeg))).toThrow('300 scans over 4000×4000 pixels, which take too long');
});

describe('frames and pages are counted', () => {
  const frame = Buffer.from('21f90400000000002c0000000001000100000202440100', 'hex');
  const gif = (frames: number): Buffer =>
    Buffer.concat([
      Buffer.from('4749463839610100010080000000000000ffffff', 'hex').subarray(0, 19),
      ...Array<Buffer>(frames).fill(frame),
      Buffer.from([0x3b]),
    ]);
  const tiff = (pages: number): Buffer => {
    const file = Buffer.alloc(8 + 6 * pages);
    file.write('II*\0', 'latin1');
    file.writeUInt32LE(8, 4);
    for (let i = 0; i + 1 < pages; i++) file.writeUInt32LE(8 + 6 * (i + 1), 8 + 6 * i + 2);
    return file;
  };
  const webp = (frames: number): Buffer =>
    Buffer.concat([
      Buffer.from('RIFF\0\0\0\0WEBP'),
      ...Array<Buffer>(frames).fill(Buffer.from('ANMF\0\0\0\0')),
    ]);

  test.each<[string, (n: number) => Buffer]>([
    ['GIF', gif],
    ['TIFF', tiff],
    ['WebP', webp],
  ])('of %s', (_, make) => {
    expect(() => checkPages(make(10_000))).not.toThrow();
    expect(() => checkPages(make(10_001))).toThrow('more than 10000 frames or pages');
    const many = make(200);
    for (let cut = 0; cut < many.length; cut += 7)
      expect(() => checkPages(many.subarray(0, cut))).not.toThrow();
  });

  test('also where a list of pages leads back to itself', () => {
    const file = tiff(2);
    file.writeUInt32LE(8, 8 + 6 + 2);
    expect(() => checkPages(file)).toThrow('more than 10000');
  });

  test('those that sharp writes', async () => {
    const pixels = { create: { width: 2, height: 2, channels: 3, background: 'red' } } as const;
    for (const format of ['gif', 'tiff', 'webp', 'png'] as const)
      expect(() => sharp(pixels).toFormat(format)).not.toThrow();
    checkPages(await sharp(pixels).gif().toBuffer());
    checkPages(await sharp(pixels).tiff().toBuffer());
  });
});
